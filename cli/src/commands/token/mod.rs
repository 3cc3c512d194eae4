//! `token`: one file for each of its verbs.

mod attest;
mod drill;
mod list;
mod pin;
mod reset;
mod setup;
mod watch;

use clap::{Args, Subcommand};
use signet_proto::v1;

use crate::{
    agent::{PivPlace, token::named, touch::purpose},
    context::Context,
    exit::CliError,
};

/// How much of a key ID is shown, and is enough to name the key.
const SHOWN_ID: usize = 7;

/// Arguments of `token`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// List tokens: their keys, their tries, and what is still the factory's
    List(list::ListArgs),
    /// Replace what a YubiKey left the factory with: PIN, PUK and management key
    Setup(setup::SetupArgs),
    /// Change or unblock the PIN of a YubiKey
    Pin(pin::PinArgs),
    /// Show what happens to tokens, until it is interrupted
    Watch(watch::WatchArgs),
    /// Prove that keys on tokens, and their copies in files, can still sign
    Drill(drill::DrillArgs),
    /// Show what a YubiKey says of a key that was made on it
    Attest(attest::AttestArgs),
    /// Destroy every key and certificate of a YubiKey's PIV application
    Reset(reset::ResetArgs),
}

/// Runs `token`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: TokenArgs) -> Result<(), CliError> {
    match args.command {
        TokenCommand::List(args) => list::run(context, &args).await,
        TokenCommand::Setup(args) => setup::run(context, &args).await,
        TokenCommand::Pin(args) => pin::run(context, args).await,
        TokenCommand::Watch(args) => watch::run(context, &args).await,
        TokenCommand::Drill(args) => drill::run(context, &args).await,
        TokenCommand::Attest(args) => attest::run(context, &args).await,
        TokenCommand::Reset(args) => reset::run(context, &args).await,
    }
}

/// A key for people: "root key 3f2a1b7", "targets of example.com/a key 09bc123".
fn key_named(role: &str, gun: &str, key_id: &str) -> String {
    let id = key_id.get(..SHOWN_ID).unwrap_or(key_id);
    [purpose(role, gun).as_str(), "key", id]
        .iter()
        .filter(|word| !word.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A place for people: "yubikey 4711/9c", or a path.
fn place_named(uri: &str) -> String {
    PivPlace::of(uri).map_or_else(|| uri.strip_prefix("file:").unwrap_or(uri).to_owned(), |piv| piv.to_string())
}

/// What is still the factory's, and what to do about it: one sentence each.
fn factory_warnings(token: &v1::Token) -> Vec<String> {
    let Some(yubikey) = &token.yubikey else { return Vec::new() };
    let secrets = [
        ("PIN", yubikey.default_pin()),
        ("PUK", yubikey.default_puk()),
        ("management key", yubikey.default_management_key()),
    ];
    let known = secrets.into_iter().filter(|(_, is_default)| *is_default == v1::Known::Yes);
    known.map(|(secret, _)| format!("the {secret} is the factory's: signet token setup {}", token.serial)).collect()
}

/// A YubiKey for people, with what tells it from others.
fn introduced(token: &v1::Token) -> String {
    let told = token.yubikey.as_ref().map(|yubikey| (yubikey.firmware.as_str(), yubikey.reader.as_str()));
    let (firmware, reader) = told.unwrap_or_default();
    let part = |what: &str, text: &str| if text.is_empty() { String::new() } else { format!(", {what} {text}") };
    format!("{}{}{}", named(token), part("firmware", firmware), part("in", reader))
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::{factory_warnings, introduced, key_named, place_named};

    /// A YubiKey as new, with a root key.
    pub(super) fn yubikey() -> v1::Token {
        let counter = |left| Some(v1::Tries { left, most: Some(3) });
        let slot = v1::Slot {
            slot: "9c".to_owned(),
            key_id: "3f2a1b7c".repeat(8),
            algorithm: "ecdsa-p256".to_owned(),
            role: "root".to_owned(),
            pin_policy: "once".to_owned(),
            touch_policy: "always".to_owned(),
            origin: "generated".to_owned(),
            certificate: "CN=Signet".to_owned(),
            ..v1::Slot::default()
        };
        let yubikey = v1::YubiKey {
            firmware: "5.7.1".to_owned(),
            reader: "Yubico YubiKey OTP+FIDO+CCID 00 00".to_owned(),
            pin: counter(Some(2)),
            puk: counter(None),
            default_pin: v1::Known::Yes.into(),
            default_puk: v1::Known::Unknown.into(),
            default_management_key: v1::Known::No.into(),
            management_key_protected: true,
            management_key_algorithm: "aes-192".to_owned(),
            slots: vec![slot],
        };
        v1::Token {
            name: "4711".to_owned(),
            serial: "4711".to_owned(),
            present: true,
            kind: v1::TokenKind::Yubikey.into(),
            roles: vec!["root".to_owned()],
            yubikey: Some(yubikey),
            ..v1::Token::default()
        }
    }

    #[test]
    fn what_is_the_factorys_is_warned_of() {
        assert_eq!(factory_warnings(&yubikey()), ["the PIN is the factory's: signet token setup 4711"]);
        assert!(factory_warnings(&v1::Token::default()).is_empty());
    }

    #[test]
    fn a_yubikey_is_introduced_as_far_as_it_is_known() {
        let whole = "YubiKey 4711, firmware 5.7.1, in Yubico YubiKey OTP+FIDO+CCID 00 00";
        assert_eq!(introduced(&yubikey()), whole);
        assert_eq!(introduced(&v1::Token { yubikey: None, ..yubikey() }), "YubiKey 4711");
    }

    #[test]
    fn keys_and_places_have_names() {
        for (role, gun, id, expected) in [
            ("root", "", "0123456789", "root key 0123456"),
            ("targets", "g", "01", "targets of g key 01"),
            ("", "", "0123456789", "key 0123456"),
        ] {
            assert_eq!(key_named(role, gun, id), expected);
        }
        for (uri, expected) in [
            ("yubikey:4711/9c", "yubikey 4711/9c"),
            ("file:/a/b.key", "/a/b.key"),
            ("pkcs11:token=a", "pkcs11:token=a"),
        ] {
            assert_eq!(place_named(uri), expected);
        }
    }
}
