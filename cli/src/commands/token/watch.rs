//! `token watch`.

use clap::Args;
use serde_json::{Value, json};
use signet_proto::v1::{self, token_event::Kind};

use crate::{
    agent::{
        AgentError, answered,
        token::{self, named},
        tokens_client,
        touch::purpose,
    },
    commands::agent::tries,
    context::Context,
    exit::CliError,
    render::told,
};

/// Arguments of `token watch`.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Print one JSON object on each line; the first says that it has begun
    #[arg(long)]
    json: bool,
}

/// Runs `token watch`. It ends with the agent, or when it is interrupted.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: &WatchArgs) -> Result<(), CliError> {
    let channel = context.agent.link().await?.channel;
    let mut events = answered(tokens_client(&channel).watch(v1::WatchTokensRequest {})).await?;
    while let Some(event) = events.message().await.map_err(AgentError::from)? {
        let line = if args.json { Some(as_json(&event).to_string()) } else { in_words(&event) };
        if let Some(line) = line {
            context.out.line(&line)?;
        }
    }
    Err(AgentError::Unexpected { what: "it has ended, and with it the events".to_owned() }.into())
}

/// An event for people; none for one that says nothing to them.
fn in_words(event: &v1::TokenEvent) -> Option<String> {
    let token = event.token.clone().unwrap_or_default();
    let name = named(&token);
    let what = match purpose(&event.role, &event.gun).as_str() {
        "" => String::new(),
        what => format!(" for {what}"),
    };
    let wants = if event.perhaps { "may want" } else { "wants" };
    match event.kind() {
        Kind::Unspecified => None,
        Kind::Inserted => Some(format!("{name} was inserted")),
        Kind::Removed => Some(format!("{name} was removed")),
        Kind::TouchWanted => Some(format!("{name} {wants} to be touched within {} s{what}", event.seconds_left)),
        Kind::TouchEnded => Some(format!("{name} waits no more to be touched{what}")),
        Kind::TriesLeft => {
            let counted = token::tries(token.yubikey.as_ref().and_then(|yubikey| yubikey.pin.as_ref()));
            Some(format!("{name}: tries left for the PIN: {}", counted.unwrap_or_else(|| tries(&token).to_owned())))
        }
    }
}

fn as_json(event: &v1::TokenEvent) -> Value {
    let token = event.token.clone().unwrap_or_default();
    let pin = token.yubikey.as_ref().and_then(|yubikey| yubikey.pin);
    let is_wanted = event.kind() == Kind::TouchWanted;
    json!({
        "event": word(event.kind()),
        "token": told(&token.name),
        "serial": told(&token.serial),
        "tries": tries(&token),
        "pin_tries_left": pin.and_then(|tries| tries.left),
        "role": told(&event.role),
        "gun": told(&event.gun),
        "seconds_left": is_wanted.then_some(event.seconds_left),
        "perhaps": is_wanted.then_some(event.perhaps),
    })
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "open",
        Kind::Inserted => "inserted",
        Kind::Removed => "removed",
        Kind::TouchWanted => "touch_wanted",
        Kind::TouchEnded => "touch_ended",
        Kind::TriesLeft => "tries_left",
    }
}

#[cfg(test)]
mod tests {
    use signet_proto::v1::{self, token_event::Kind};

    use super::{as_json, in_words};
    use crate::commands::token::tests::yubikey;

    fn event(kind: Kind) -> v1::TokenEvent {
        v1::TokenEvent {
            kind: kind.into(),
            token: Some(yubikey()),
            role: "root".to_owned(),
            gun: "example.com/a".to_owned(),
            seconds_left: 15,
            perhaps: false,
        }
    }

    #[test]
    fn events_are_sentences() {
        let perhaps = v1::TokenEvent { perhaps: true, gun: String::new(), ..event(Kind::TouchWanted) };
        let uncounted = v1::Token { yubikey: None, tries: v1::TriesLeft::Last.into(), ..yubikey() };
        let uncounted = v1::TokenEvent { token: Some(uncounted), ..event(Kind::TriesLeft) };
        for (event, expected) in [
            (event(Kind::Unspecified), None),
            (event(Kind::Inserted), Some("YubiKey 4711 was inserted")),
            (event(Kind::Removed), Some("YubiKey 4711 was removed")),
            (event(Kind::TouchWanted), Some("YubiKey 4711 wants to be touched within 15 s for root of example.com/a")),
            (perhaps, Some("YubiKey 4711 may want to be touched within 15 s for root")),
            (event(Kind::TouchEnded), Some("YubiKey 4711 waits no more to be touched for root of example.com/a")),
            (event(Kind::TriesLeft), Some("YubiKey 4711: tries left for the PIN: 2 of 3")),
            (uncounted, Some("YubiKey 4711: tries left for the PIN: last")),
        ] {
            assert_eq!(in_words(&event).as_deref(), expected);
        }
    }

    #[test]
    fn every_event_has_the_same_fields() {
        let wanted = serde_json::json!({
            "event": "touch_wanted", "token": "4711", "serial": "4711", "tries": "unknown", "pin_tries_left": 2,
            "role": "root", "gun": "example.com/a", "seconds_left": 15, "perhaps": false,
        });
        assert_eq!(as_json(&event(Kind::TouchWanted)), wanted);
        let open = serde_json::json!({
            "event": "open", "token": null, "serial": null, "tries": "unknown", "pin_tries_left": null,
            "role": null, "gun": null, "seconds_left": null, "perhaps": null,
        });
        assert_eq!(as_json(&v1::TokenEvent::default()), open);
    }
}
