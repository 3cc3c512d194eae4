//! `token list`.

use clap::Args;
use serde_json::{Value, json};
use signet_proto::v1;

use super::{factory_warnings, key_named};
use crate::{
    agent::{
        token::{self, named},
        warn_of,
    },
    commands::agent::{state, tries},
    context::Context,
    exit::CliError,
    log::visible,
    render::{told, wrapped},
};

/// Columns that a line has at most.
const COLUMNS: usize = 79;
/// Columns before a value.
const INDENT: usize = 18;
const UNKNOWN: &str = "unknown";
const NONE: &str = "No tokens. A YubiKey must be inserted, and pcscd must run; any other token must be named
under [[token]] in agent.toml, and the agent started again: signet agent stop
";

/// Arguments of `token list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array; what a token does not tell is null
    #[arg(long)]
    json: bool,
}

/// Runs `token list`.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: &ListArgs) -> Result<(), CliError> {
    let channel = context.agent.link().await?.channel;
    let listed = token::listed(&channel).await?;
    warn_of(&listed.warnings);
    if args.json {
        return context.out.json(&listed.tokens.iter().map(as_json).collect());
    }
    context.out.bytes(listing(&listed.tokens).as_bytes())
}

fn listing(tokens: &[v1::Token]) -> String {
    if tokens.is_empty() {
        return NONE.to_owned();
    }
    tokens.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// One token: a line that names it, what it tells, and what is wrong with it.
fn block(token: &v1::Token) -> String {
    let presence = match (token.present, token.unlocked) {
        (false, _) => "absent",
        (true, _) => "present",
    };
    let unlocked = if token.unlocked { ", unlocked" } else { "" };
    let mut fields = match token.kind() {
        v1::TokenKind::Yubikey => of_yubikey(token),
        v1::TokenKind::Pkcs11 | v1::TokenKind::Unspecified => vec![
            ("model".to_owned(), or_unknown(&token.model)),
            ("module".to_owned(), or_unknown(&token.module)),
            ("PIN tries".to_owned(), tries(token).to_owned()),
        ],
    };
    if !token.roles.is_empty() {
        fields.push(("new keys for".to_owned(), token.roles.join(", ")));
    }
    // that it is absent stands in the first line
    if !token.trouble.is_empty() && token.trouble != "absent" {
        fields.push(("trouble".to_owned(), token.trouble.clone()));
    }
    fields.extend(factory_warnings(token).into_iter().map(|warning| ("warning".to_owned(), warning)));
    let lines: String = fields.iter().map(|(name, value)| field(name, value)).collect();
    format!("{}, {presence}{unlocked}\n{lines}", named(token))
}

fn field(name: &str, value: &str) -> String {
    let lines = value.lines().flat_map(|line| wrapped(&visible(line), COLUMNS.saturating_sub(INDENT)));
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    let width = INDENT.saturating_sub(2);
    names.zip(lines).map(|(name, line)| format!("  {name:<width$}{line}\n")).collect()
}

fn of_yubikey(token: &v1::Token) -> Vec<(String, String)> {
    let Some(yubikey) = &token.yubikey else {
        return vec![("contents".to_owned(), "unknown: not seen since the agent started".to_owned())];
    };
    let mut fields = vec![
        ("firmware".to_owned(), or_unknown(&yubikey.firmware)),
        ("reader".to_owned(), or_unknown(&yubikey.reader)),
        ("PIN".to_owned(), code(yubikey.pin.as_ref(), yubikey.default_pin())),
        ("PUK".to_owned(), code(yubikey.puk.as_ref(), yubikey.default_puk())),
        ("management key".to_owned(), management_key(yubikey)),
    ];
    let slots = yubikey.slots.iter().map(|slot| (format!("slot {}", visible(&slot.slot)), slot_in_words(slot)));
    fields.extend(slots);
    fields
}

fn code(tries: Option<&v1::Tries>, is_default: v1::Known) -> String {
    let tries = token::tries(tries).unwrap_or_else(|| UNKNOWN.to_owned());
    format!("tries left: {tries}{}", factorys(is_default))
}

/// What is known to be the factory's has a warning of its own.
const fn factorys(is_default: v1::Known) -> &'static str {
    match is_default {
        v1::Known::Unknown => "; unknown whether it is the factory's",
        v1::Known::No | v1::Known::Yes => "",
    }
}

fn management_key(yubikey: &v1::YubiKey) -> String {
    let algorithm = match yubikey.management_key_algorithm.as_str() {
        "" => "unknown algorithm",
        algorithm => algorithm,
    };
    let place = if yubikey.management_key_protected { "stored behind the PIN" } else { "not stored on it" };
    format!("{algorithm}, {place}{}", factorys(yubikey.default_management_key()))
}

fn slot_in_words(slot: &v1::Slot) -> String {
    let certificate = match slot.certificate.as_str() {
        "" => "no certificate".to_owned(),
        subject => format!("certificate {subject}"),
    };
    format!(
        "{}, {}\nPIN {}, touch {}, {}\n{certificate}",
        key_named(&slot.role, &slot.gun, &slot.key_id),
        or_unknown(&slot.algorithm),
        or_unknown(&slot.pin_policy),
        or_unknown(&slot.touch_policy),
        told(&slot.origin).unwrap_or("unknown origin"),
    )
}

fn or_unknown(text: &str) -> String {
    told(text).unwrap_or(UNKNOWN).to_owned()
}

fn as_json(token: &v1::Token) -> Value {
    json!({
        "name": token.name,
        "kind": kind(token.kind()),
        "label": told(&token.label),
        "serial": told(&token.serial),
        "model": told(&token.model),
        "module": told(&token.module),
        "present": token.present,
        "unlocked": token.unlocked,
        "state": state(token),
        "tries": tries(token),
        "trouble": told(&token.trouble),
        "roles": token.roles,
        "yubikey": token.yubikey.as_ref().map(yubikey_as_json),
    })
}

const fn kind(kind: v1::TokenKind) -> &'static str {
    match kind {
        v1::TokenKind::Unspecified => UNKNOWN,
        v1::TokenKind::Pkcs11 => "pkcs11",
        v1::TokenKind::Yubikey => "yubikey",
    }
}

fn yubikey_as_json(yubikey: &v1::YubiKey) -> Value {
    json!({
        "firmware": told(&yubikey.firmware),
        "reader": told(&yubikey.reader),
        "pin_tries_left": yubikey.pin.and_then(|tries| tries.left),
        "pin_tries_most": yubikey.pin.and_then(|tries| tries.most),
        "puk_tries_left": yubikey.puk.and_then(|tries| tries.left),
        "puk_tries_most": yubikey.puk.and_then(|tries| tries.most),
        "default_pin": known(yubikey.default_pin()),
        "default_puk": known(yubikey.default_puk()),
        "default_management_key": known(yubikey.default_management_key()),
        "management_key_protected": yubikey.management_key_protected,
        "management_key_algorithm": told(&yubikey.management_key_algorithm),
        "slots": yubikey.slots.iter().map(slot_as_json).collect::<Vec<_>>(),
    })
}

const fn known(known: v1::Known) -> Option<bool> {
    match known {
        v1::Known::Unknown => None,
        v1::Known::No => Some(false),
        v1::Known::Yes => Some(true),
    }
}

fn slot_as_json(slot: &v1::Slot) -> Value {
    json!({
        "slot": slot.slot,
        "key_id": slot.key_id,
        "name": slot.name,
        "algorithm": told(&slot.algorithm),
        "role": slot.role,
        "gun": slot.gun,
        "pin_policy": told(&slot.pin_policy),
        "touch_policy": told(&slot.touch_policy),
        "origin": told(&slot.origin),
        "certificate": told(&slot.certificate),
    })
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::{as_json, listing};
    use crate::commands::token::tests::yubikey;

    #[test]
    fn a_yubikey_is_a_block_with_everything_it_tells() {
        let expected = "\
YubiKey 4711, present
  firmware        5.7.1
  reader          Yubico YubiKey OTP+FIDO+CCID 00 00
  PIN             tries left: 2 of 3
  PUK             tries left: unknown; unknown whether it is the factory's
  management key  aes-192, stored behind the PIN
  slot 9c         root key 3f2a1b7, ecdsa-p256
                  PIN once, touch always, generated
                  certificate CN=Signet
  new keys for    root
  warning         the PIN is the factory's: signet token setup 4711
";
        assert_eq!(listing(&[yubikey()]), expected);
    }

    #[test]
    fn what_a_yubikey_does_not_tell_is_unknown() {
        let bare = v1::YubiKey {
            slots: vec![v1::Slot { slot: "9a".to_owned(), ..v1::Slot::default() }],
            ..v1::YubiKey::default()
        };
        let old = v1::Token { yubikey: Some(bare), roles: Vec::new(), ..yubikey() };
        let unseen = v1::Token { yubikey: None, present: false, trouble: "it was pulled".to_owned(), ..old.clone() };
        let expected = "\
YubiKey 4711, present
  firmware        unknown
  reader          unknown
  PIN             tries left: unknown; unknown whether it is the factory's
  PUK             tries left: unknown; unknown whether it is the factory's
  management key  unknown algorithm, not stored on it; unknown whether it is
                  the factory's
  slot 9a         key, unknown
                  PIN unknown, touch unknown, unknown origin
                  no certificate

YubiKey 4711, absent
  contents        unknown: not seen since the agent started
  trouble         it was pulled
";
        assert_eq!(listing(&[old, unseen]), expected);
    }

    #[test]
    fn another_token_is_listed_as_well() {
        let token = v1::Token {
            name: "release".to_owned(),
            label: "release".to_owned(),
            serial: "12".to_owned(),
            model: "SoftHSM v2".to_owned(),
            module: "/usr/lib/softhsm/libsofthsm2.so".to_owned(),
            present: true,
            unlocked: true,
            tries: v1::TriesLeft::All.into(),
            kind: v1::TokenKind::Pkcs11.into(),
            ..v1::Token::default()
        };
        let expected = "\
token release, serial 12, present, unlocked
  model           SoftHSM v2
  module          /usr/lib/softhsm/libsofthsm2.so
  PIN tries       all
";
        assert_eq!(listing(std::slice::from_ref(&token)), expected);
        let json = as_json(&token);
        assert_eq!((&json["kind"], &json["tries"], &json["yubikey"]), (&"pkcs11".into(), &"all".into(), &().into()));
    }

    #[test]
    fn no_line_wraps_and_none_draws_on_the_terminal() {
        let mut token = yubikey();
        token.trouble = "a very long sentence ".repeat(10);
        let slot = &mut token.yubikey.as_mut().unwrap().slots[0];
        slot.gun = format!("example.com/{}", "a/very/long/name".repeat(10));
        slot.certificate = "CN=\u{1b}[2J".to_owned();
        let listing = listing(&[token]);
        assert!(listing.lines().all(|line| line.chars().count() < 80), "{listing}");
        assert!(listing.contains("certificate CN=\\u{1b}[2J"), "{listing}");
    }

    #[test]
    fn no_tokens_are_said_with_what_could_be_wrong() {
        let listing = listing(&[]);
        assert!(listing.starts_with("No tokens. ") && listing.contains("pcscd"), "{listing}");
    }

    #[test]
    fn json_has_a_field_for_everything() {
        let json = as_json(&yubikey());
        let expected = serde_json::json!({
            "name": "4711", "kind": "yubikey", "label": null, "serial": "4711", "model": null, "module": null,
            "present": true, "unlocked": false, "state": "locked", "tries": "unknown", "trouble": null,
            "roles": ["root"],
            "yubikey": {
                "firmware": "5.7.1", "reader": "Yubico YubiKey OTP+FIDO+CCID 00 00",
                "pin_tries_left": 2, "pin_tries_most": 3, "puk_tries_left": null, "puk_tries_most": 3,
                "default_pin": true, "default_puk": null, "default_management_key": false,
                "management_key_protected": true, "management_key_algorithm": "aes-192",
                "slots": [{
                    "slot": "9c", "key_id": "3f2a1b7c".repeat(8), "name": "", "algorithm": "ecdsa-p256",
                    "role": "root", "gun": "", "pin_policy": "once", "touch_policy": "always",
                    "origin": "generated", "certificate": "CN=Signet",
                }],
            },
        });
        assert_eq!(json, expected);
    }
}
