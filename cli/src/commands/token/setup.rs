//! `token setup`.

use std::path::PathBuf;

use clap::Args;
use signet_proto::v1;

use super::{factory_warnings, introduced};
use crate::{
    agent::{
        AgentError, answered,
        token::{self, LastTry, named},
        tokens_client, warn_of,
    },
    commands::secret_file,
    context::Context,
    exit::CliError,
    prompt::{Code, Empty, Prompt},
    secret::{ManagementKey, Passphrase},
};

/// Without its PUK a YubiKey whose PIN is blocked, or forgotten, is of no use.
const ABOUT_THE_PUK: &str = "\
The PUK makes a new PIN if the PIN is blocked or forgotten. Write it down, and
keep it away from the YubiKey.
";

/// Arguments of `token setup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without a terminal, the answers are one line of standard input each, in this
order: PIN, new PIN, PUK, new PUK. The present PIN and PUK are left out if the
YubiKey says that they are the factory's, or --factory does where it does not
say. An empty new one keeps the present one.")]
pub(super) struct SetupArgs {
    /// Serial number of the YubiKey
    #[arg(value_name = "SERIAL")]
    token: String,
    /// Take the present PIN, PUK and management key to be the factory's if the YubiKey does not tell
    #[arg(long)]
    factory: bool,
    /// Go on although something would still be the factory's
    #[arg(long)]
    leave_defaults: bool,
    /// File with the present management key in hex, if it is neither the factory's nor stored on the YubiKey
    #[arg(long, value_name = "FILE", conflicts_with = "keep_management_key")]
    management_key_file: Option<PathBuf>,
    /// Keep the present management key; otherwise a new one is stored on the YubiKey, behind the PIN, unless there is one already
    #[arg(long)]
    keep_management_key: bool,
}

/// A present secret, if it was asked for, and the one that replaces it.
#[derive(Default)]
struct Change {
    present: Option<Passphrase>,
    new: Option<Passphrase>,
}

/// Runs `token setup`. Everything is asked before anything is sent.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: &SetupArgs) -> Result<(), CliError> {
    let management_key = args.management_key_file.as_deref().map(secret_file::management_key).transpose()?;
    let channel = context.agent.link().await?.channel;
    let token = token::yubikey(&channel, &args.token).await?;
    let (pin, puk) = asked(&context.prompt, &token, args)?;
    let secret = |secret: Option<Passphrase>| secret.map(|secret| secret.expose().to_vec()).unwrap_or_default();
    let request = v1::SetupTokenRequest {
        token: token.name.clone(),
        pin: secret(pin.present),
        puk: secret(puk.present),
        management_key: management_key.as_ref().map(ManagementKey::expose).unwrap_or_default().to_vec(),
        new_pin: secret(pin.new),
        new_puk: secret(puk.new),
        protect_management_key: !args.keep_management_key,
        factory: args.factory,
        leave_defaults: args.leave_defaults,
    };
    let made = answered(tokens_client(&channel).setup(request)).await?;
    context.out.bytes(report(&token, &made.changed).as_bytes())?;
    warn_of(&made.token.as_ref().map(factory_warnings).unwrap_or_default());
    Ok(())
}

/// Asks for the PIN and the PUK.
fn asked(prompt: &Prompt, token: &v1::Token, args: &SetupArgs) -> Result<(Change, Change), AgentError> {
    say(prompt, &format!("{}\n", introduced(token)))?;
    let yubikey = token.yubikey.clone().unwrap_or_default();
    let pin = changed(prompt, token, Code::Pin, args.wants(yubikey.default_pin()))?;
    if yubikey.puk.and_then(|tries| tries.left) == Some(0) {
        say(prompt, "The PUK is blocked, and stays so.\n")?;
        return Ok((pin, Change::default()));
    }
    say(prompt, ABOUT_THE_PUK)?;
    let puk = changed(prompt, token, Code::Puk, args.wants(yubikey.default_puk()))?;
    Ok((pin, puk))
}

fn changed(prompt: &Prompt, token: &v1::Token, code: Code, present: Present) -> Result<Change, AgentError> {
    let present = match present {
        Present::Asked => Some(prompt.present_code(&token::question(token, code, LastTry::Keep)?)?),
        Present::Factory => None,
    };
    let new = prompt.new_code(code, &named(token), Empty::Keep)?;
    Ok(Change { present, new })
}

/// Where a present secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Present {
    Asked,
    Factory,
}

impl SetupArgs {
    /// Whether a present secret is asked for, by what is known of its being the factory's.
    const fn wants(&self, is_default: v1::Known) -> Present {
        match (is_default, self.factory) {
            (v1::Known::Yes, _) | (v1::Known::Unknown, true) => Present::Factory,
            (v1::Known::No, _) | (v1::Known::Unknown, false) => Present::Asked,
        }
    }
}

/// Tells what nobody reads where answers come from a file.
fn say(prompt: &Prompt, text: &str) -> Result<(), AgentError> {
    if prompt.has_person() {
        prompt.say(text)?;
    }
    Ok(())
}

/// What was changed.
fn report(token: &v1::Token, changed: &[String]) -> String {
    if changed.is_empty() {
        return format!("{}: nothing was changed\n", named(token));
    }
    let lines = changed.iter().map(|what| match what.as_str() {
        "pin" => "  a new PIN\n".to_owned(),
        "puk" => "  a new PUK\n".to_owned(),
        "management-key" => "  a new management key, stored on it behind the PIN\n".to_owned(),
        other => format!("  a new {other}\n"),
    });
    format!("{} has now:\n{}", named(token), lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::{ABOUT_THE_PUK, Change, SetupArgs, asked, report};
    use crate::{
        commands::token::tests::yubikey,
        prompt::Prompt,
        secret::{EnvSecrets, Passphrase},
    };

    fn args(factory: bool) -> SetupArgs {
        SetupArgs {
            token: "4711".to_owned(),
            factory,
            leave_defaults: false,
            management_key_file: None,
            keep_management_key: false,
        }
    }

    fn token(pin: v1::Known, puk: v1::Known) -> v1::Token {
        let told = yubikey().yubikey.unwrap();
        let told = v1::YubiKey { default_pin: pin.into(), default_puk: puk.into(), ..told };
        v1::Token { yubikey: Some(told), ..yubikey() }
    }

    fn texts(change: &Change) -> [String; 2] {
        let text = |secret: &Option<Passphrase>| {
            secret
                .as_ref()
                .map_or_else(|| "-".to_owned(), |secret| String::from_utf8(secret.expose().to_vec()).unwrap())
        };
        [text(&change.present), text(&change.new)]
    }

    #[test]
    fn a_present_secret_is_asked_for_unless_it_is_the_factorys() {
        use v1::Known::{No, Unknown, Yes};
        for (pin, puk, factory, lines, expected) in [
            (Yes, Yes, false, &["246810", "87654321"][..], [["-", "246810"], ["-", "87654321"]]),
            (Unknown, Unknown, true, &["246810", "87654321"], [["-", "246810"], ["-", "87654321"]]),
            (Unknown, Yes, false, &["111111", "246810", ""], [["111111", "246810"], ["-", "-"]]),
            (No, No, true, &["111111", "", "22222222", "87654321"], [["111111", "-"], ["22222222", "87654321"]]),
        ] {
            let (new_pin, new_puk) = asked(&Prompt::piped(lines), &token(pin, puk), &args(factory)).unwrap();
            assert_eq!([texts(&new_pin), texts(&new_puk)], expected, "{pin:?} {puk:?} {factory}");
        }
    }

    #[test]
    fn a_person_is_told_which_token_it_is_and_what_a_puk_is() {
        let answers = ["246810", "246810", "222222", "87654321", "87654321"];
        let prompt = Prompt::scripted(EnvSecrets::default(), &answers);
        asked(&prompt, &token(v1::Known::Yes, v1::Known::No), &args(false)).unwrap();
        let expected = [
            "YubiKey 4711, firmware 5.7.1, in Yubico YubiKey OTP+FIDO+CCID 00 00\n",
            "New PIN for YubiKey 4711 (6 to 8 characters, or nothing to keep the present one): \n",
            "Repeat the new PIN for YubiKey 4711: \n",
            ABOUT_THE_PUK,
            "PUK for YubiKey 4711: \n",
            "New PUK for YubiKey 4711 (6 to 8 characters, or nothing to keep the present one): \n",
            "Repeat the new PUK for YubiKey 4711: \n",
        ];
        assert_eq!(prompt.shown(), expected.concat());
    }

    #[test]
    fn a_blocked_puk_keeps_nobody_from_setting_up_the_rest() {
        let mut token = token(v1::Known::Yes, v1::Known::No);
        token.yubikey.as_mut().unwrap().puk = Some(v1::Tries { left: Some(0), most: Some(3) });
        let (pin, puk) = asked(&Prompt::piped(&["246810"]), &token, &args(false)).unwrap();
        assert_eq!([texts(&pin), texts(&puk)], [["-", "246810"], ["-", "-"]]);
    }

    #[test]
    fn a_bad_new_pin_is_refused_before_anything_is_sent() {
        for bad in ["12345", "123456789", "123456"] {
            let error = asked(&Prompt::piped(&[bad]), &token(v1::Known::Yes, v1::Known::Yes), &args(false));
            assert!(error.is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_changed_is_said() {
        let changed = ["pin", "puk", "management-key"].map(str::to_owned);
        let expected = "\
YubiKey 4711 has now:
  a new PIN
  a new PUK
  a new management key, stored on it behind the PIN
";
        assert_eq!(report(&yubikey(), &changed), expected);
        assert_eq!(report(&yubikey(), &[]), "YubiKey 4711: nothing was changed\n");
    }
}
