//! `token drill`.

use clap::Args;
use serde_json::{Value, json};
use signet_proto::v1;

use super::{key_named, place_named};
use crate::{agent::refusal, commands::key::find, context::Context, exit::CliError, log::visible, render::told};

/// Arguments of `token drill`.
#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    /// ID of the only key, or the beginning of it; else every key on a token, and their copies in files
    #[arg(value_name = "KEYID")]
    key: Option<String>,
    /// Print one JSON object on each line
    #[arg(long)]
    json: bool,
}

/// Runs `token drill`.
///
/// # Errors
/// [`CliError::NotAtHand`] if a place did not sign; other [`CliError`]s.
pub(super) async fn run(context: &mut Context, args: &DrillArgs) -> Result<(), CliError> {
    let listed = context.agent.keys().await?;
    let (id, keys) = match &args.key {
        Some(id) => {
            let key = find(&listed, id)?;
            (key.key_id.clone(), vec![key])
        }
        None => (String::new(), listed.into_iter().filter(is_on_token).collect()),
    };
    if keys.is_empty() {
        let message = "no key is on a token, so there is nothing to drill";
        return Err(CliError::with_remedy(message, "name a key of a file: signet token drill KEYID"));
    }
    let mut drill = context.agent.drill(&id, &keys).await?;
    let (mut places, mut failed) = (0_usize, 0_usize);
    while let Some(result) = drill.next().await? {
        places = places.saturating_add(1);
        failed = failed.saturating_add(usize::from(!result.signed));
        let line = if args.json { as_json(&result).to_string() } else { in_words(&result) };
        context.out.line(&line)?;
    }
    match (failed, places) {
        (0, 0) => Err(CliError::NotAtHand("the agent drilled no place".to_owned())),
        (0, _) => Ok(()),
        (failed, places) => Err(CliError::NotAtHand(format!("{failed} of {places} places did not sign"))),
    }
}

fn is_on_token(key: &v1::Key) -> bool {
    key.places.iter().any(|place| !place.token.is_empty())
}

fn in_words(result: &v1::DrillResult) -> String {
    let what = format!("{}, {}", key_named(&result.role, &result.gun, &result.key_id), place_named(&result.place));
    let line = match refusal(result) {
        None => format!("{what}: ok"),
        Some(error) => {
            let remedy = error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            format!("{what}: FAILED: {error}{remedy}")
        }
    };
    visible(&line)
}

fn as_json(result: &v1::DrillResult) -> Value {
    json!({
        "key_id": result.key_id,
        "name": result.name,
        "role": result.role,
        "gun": result.gun,
        "place": result.place,
        "token": told(&result.token),
        "signed": result.signed,
        "reason": told(&result.reason),
        "message": told(&result.message),
        "remedy": refusal(result).and_then(|error| error.remedy()),
    })
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::{as_json, in_words, is_on_token};

    fn result() -> v1::DrillResult {
        v1::DrillResult {
            name: "ab".to_owned(),
            key_id: "3f2a1b7c".repeat(8),
            role: "root".to_owned(),
            place: "yubikey:4711/9c".to_owned(),
            token: "4711".to_owned(),
            signed: true,
            ..v1::DrillResult::default()
        }
    }

    fn failed() -> v1::DrillResult {
        v1::DrillResult {
            signed: false,
            reason: "TOKEN_ABSENT".to_owned(),
            message: "YubiKey 4711 is not there".to_owned(),
            ..result()
        }
    }

    #[test]
    fn a_place_is_one_line() {
        assert_eq!(in_words(&result()), "root key 3f2a1b7, yubikey 4711/9c: ok");
        let expected =
            "root key 3f2a1b7, yubikey 4711/9c: FAILED: YubiKey 4711 is not there (insert token 4711 and repeat)";
        assert_eq!(in_words(&failed()), expected);
        let file = v1::DrillResult {
            place: "file:/a/x.key".to_owned(),
            role: "targets".to_owned(),
            gun: "g\n".to_owned(),
            ..result()
        };
        assert_eq!(in_words(&file), "targets of g\\n key 3f2a1b7, /a/x.key: ok");
    }

    #[test]
    fn json_says_what_is_missing_and_what_to_do() {
        let json = as_json(&failed());
        assert_eq!((&json["signed"], &json["reason"]), (&false.into(), &"TOKEN_ABSENT".into()));
        assert_eq!(json["remedy"], "insert token 4711 and repeat");
        let json = as_json(&result());
        assert_eq!((&json["reason"], &json["message"], &json["remedy"]), (&().into(), &().into(), &().into()));
    }

    #[test]
    fn keys_that_are_only_in_files_are_not_drilled_unasked() {
        let key = |token: &str| v1::Key {
            places: vec![v1::Place::default(), v1::Place { token: token.to_owned(), ..v1::Place::default() }],
            ..v1::Key::default()
        };
        assert!(is_on_token(&key("4711")) && !is_on_token(&key("")));
    }
}
