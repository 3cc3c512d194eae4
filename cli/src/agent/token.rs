//! One token, for people: its name, its tries, and the questions for its PIN and PUK.

use signet_proto::{Reason, v1};
use tonic::transport::Channel;

use super::{AgentError, answered, tokens_client};
use crate::{log::visible, prompt::Code};

/// Every token of the agent, and why no YubiKey can be seen.
///
/// # Errors
/// [`AgentError`]
pub async fn listed(channel: &Channel) -> Result<v1::ListTokensResponse, AgentError> {
    answered(tokens_client(channel).list(v1::ListTokensRequest {})).await
}

/// The token that a person, or a refusal, calls so. One that the agent knows by another name is still used by this one.
///
/// # Errors
/// [`AgentError`]
pub(super) async fn called(channel: &Channel, name: &str) -> Result<v1::Token, AgentError> {
    let unlisted = || v1::Token { name: name.to_owned(), present: true, ..v1::Token::default() };
    Ok(listed(channel).await?.tokens.into_iter().find(|token| answers_to(token, name)).unwrap_or_else(unlisted))
}

/// The YubiKey of this serial number, which is inserted now.
///
/// # Errors
/// [`AgentError::Refused`] if there is none, or if that is another kind of token.
pub async fn yubikey(channel: &Channel, serial: &str) -> Result<v1::Token, AgentError> {
    let listed = listed(channel).await?;
    let found = listed.tokens.into_iter().find(|token| answers_to(token, serial));
    let refused = |reason, message: String| Err(AgentError::refused(reason, visible(&message), &[("token", serial)]));
    match found {
        None => {
            let why: String = listed.warnings.iter().map(|warning| format!(": {warning}")).collect();
            refused(Reason::TokenAbsent, format!("there is no YubiKey {serial}{why}"))
        }
        Some(token) if token.kind() != v1::TokenKind::Yubikey => {
            refused(Reason::UnknownKey, format!("{} is no YubiKey: its own tool does this", named(&token)))
        }
        Some(token) if !token.present => Err(absent(&token)),
        Some(token) => Ok(token),
    }
}

fn answers_to(token: &v1::Token, name: &str) -> bool {
    [&token.name, &token.label, &token.serial].into_iter().any(|text| text == name)
}

/// What a person calls a token.
#[must_use]
pub fn named(token: &v1::Token) -> String {
    let serial = if token.serial.is_empty() { &token.name } else { &token.serial };
    if token.kind() == v1::TokenKind::Yubikey {
        return visible(&format!("YubiKey {serial}"));
    }
    let label = if token.label.is_empty() { &token.name } else { &token.label };
    let serial = if token.serial.is_empty() { String::new() } else { format!(", serial {serial}") };
    visible(&format!("token {label}{serial}"))
}

/// A counter for people: "2 of 3".
#[must_use]
pub fn tries(counter: Option<&v1::Tries>) -> Option<String> {
    let left = counter?.left?;
    Some(counter?.most.map_or_else(|| left.to_string(), |most| format!("{left} of {most}")))
}

/// Whether a wrong PIN may block a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastTry {
    /// The last try is kept.
    Keep,
    /// The person said it may be spent.
    Spend,
}

/// The question for a token's PIN, or a YubiKey's PUK, with what is known of its tries.
///
/// # Errors
/// [`AgentError::Refused`] if there is nothing to ask: the token is absent, the PIN is blocked, or the last try is kept.
pub fn question(token: &v1::Token, code: Code, last_try: LastTry) -> Result<String, AgentError> {
    if !token.present {
        return Err(absent(token));
    }
    let (named, name) = (named(token), code.name());
    let details = [("token", token.name.as_str()), ("secret", code.word())];
    let left = counter(token, code).and_then(|counter| counter.left);
    let hint = match (judged(token, code, left), last_try, left) {
        (v1::TriesLeft::None, _, _) => {
            let reason = code.blocked();
            return Err(AgentError::refused(reason, format!("the {name} of {named} is blocked"), &details));
        }
        (v1::TriesLeft::Last, LastTry::Keep, _) => {
            let message = format!("one more wrong {name} would block {named}, nothing was tried");
            return Err(AgentError::refused(Reason::LastPinTry, message, &details));
        }
        (v1::TriesLeft::Last, LastTry::Spend, _) => format!(" (THE LAST TRY: a wrong {name} blocks it)"),
        (v1::TriesLeft::All | v1::TriesLeft::Fewer | v1::TriesLeft::Unknown, _, Some(left)) => {
            format!(" ({left} tries left)")
        }
        (v1::TriesLeft::Fewer, _, None) => format!(" (a wrong {name} was tried before)"),
        (v1::TriesLeft::All, _, None) => " (all tries left)".to_owned(),
        (v1::TriesLeft::Unknown, _, None) => String::new(),
    };
    Ok(match token.kind() {
        v1::TokenKind::Yubikey => format!("{name} for {named}{hint}: "),
        v1::TokenKind::Pkcs11 | v1::TokenKind::Unspecified => format!("Enter the user {name} of {named}{hint}: "),
    })
}

fn counter(token: &v1::Token, code: Code) -> Option<v1::Tries> {
    let yubikey = token.yubikey.as_ref()?;
    match code {
        Code::Pin => yubikey.pin,
        Code::Puk => yubikey.puk,
    }
}

fn judged(token: &v1::Token, code: Code, left: Option<u32>) -> v1::TriesLeft {
    match (left, code) {
        (Some(0), _) => v1::TriesLeft::None,
        (Some(1), _) => v1::TriesLeft::Last,
        (Some(_) | None, Code::Pin) => token.tries(),
        (Some(_) | None, Code::Puk) => v1::TriesLeft::Unknown,
    }
}

fn absent(token: &v1::Token) -> AgentError {
    let trouble = if token.trouble.is_empty() { "it is not there" } else { &token.trouble };
    let message = visible(&format!("{}: {trouble}", named(token)));
    AgentError::refused(Reason::TokenAbsent, message, &[("token", &token.name)])
}

#[cfg(test)]
mod tests {
    use signet_proto::{Reason, v1};

    use super::{LastTry, named, question, tries};
    use crate::prompt::Code;

    fn token(tries: v1::TriesLeft) -> v1::Token {
        v1::Token {
            name: "release".to_owned(),
            label: "release".to_owned(),
            serial: "4711".to_owned(),
            present: true,
            tries: tries.into(),
            ..v1::Token::default()
        }
    }

    fn yubikey(pin: Option<u32>, puk: Option<u32>) -> v1::Token {
        let counter = |left| Some(v1::Tries { left, most: Some(3) });
        v1::Token {
            name: "4711".to_owned(),
            kind: v1::TokenKind::Yubikey.into(),
            yubikey: Some(v1::YubiKey { pin: counter(pin), puk: counter(puk), ..v1::YubiKey::default() }),
            ..token(v1::TriesLeft::Unknown)
        }
    }

    fn asked(token: &v1::Token, code: Code, last_try: LastTry) -> Result<String, Reason> {
        question(token, code, last_try).map_err(|error| error.reason().unwrap())
    }

    #[test]
    fn a_person_is_told_the_token_and_its_tries() {
        assert_eq!(named(&token(v1::TriesLeft::All)), "token release, serial 4711");
        for (tries, last_try, expected) in [
            (v1::TriesLeft::Unknown, LastTry::Keep, Ok("")),
            (v1::TriesLeft::All, LastTry::Keep, Ok(" (all tries left)")),
            (v1::TriesLeft::Fewer, LastTry::Keep, Ok(" (a wrong PIN was tried before)")),
            (v1::TriesLeft::Last, LastTry::Keep, Err(Reason::LastPinTry)),
            (v1::TriesLeft::Last, LastTry::Spend, Ok(" (THE LAST TRY: a wrong PIN blocks it)")),
            (v1::TriesLeft::None, LastTry::Keep, Err(Reason::PinBlocked)),
            (v1::TriesLeft::None, LastTry::Spend, Err(Reason::PinBlocked)),
        ] {
            let expected = expected.map(|hint| format!("Enter the user PIN of token release, serial 4711{hint}: "));
            assert_eq!(asked(&token(tries), Code::Pin, last_try), expected, "{tries:?} {last_try:?}");
        }
    }

    #[test]
    fn a_yubikey_tells_how_many_tries_are_left() {
        for (token, code, last_try, expected) in [
            (yubikey(Some(2), None), Code::Pin, LastTry::Keep, Ok("PIN for YubiKey 4711 (2 tries left): ")),
            (yubikey(None, Some(3)), Code::Pin, LastTry::Keep, Ok("PIN for YubiKey 4711: ")),
            (yubikey(Some(1), None), Code::Pin, LastTry::Keep, Err(Reason::LastPinTry)),
            (yubikey(Some(0), None), Code::Pin, LastTry::Spend, Err(Reason::PinBlocked)),
            (yubikey(Some(0), Some(3)), Code::Puk, LastTry::Keep, Ok("PUK for YubiKey 4711 (3 tries left): ")),
            (yubikey(None, None), Code::Puk, LastTry::Keep, Ok("PUK for YubiKey 4711: ")),
            (
                yubikey(None, Some(1)),
                Code::Puk,
                LastTry::Spend,
                Ok("PUK for YubiKey 4711 (THE LAST TRY: a wrong PUK blocks it): "),
            ),
            (yubikey(None, Some(0)), Code::Puk, LastTry::Keep, Err(Reason::PukBlocked)),
        ] {
            assert_eq!(asked(&token, code, last_try), expected.map(str::to_owned), "{code:?} {last_try:?}");
        }
        let error = question(&yubikey(None, Some(1)), Code::Puk, LastTry::Keep).unwrap_err();
        let remedy = "if you are sure of the PUK: signet token pin unblock 4711 --spend-last-try";
        assert_eq!(error.remedy().as_deref(), Some(remedy));
    }

    #[test]
    fn nobody_is_asked_for_the_pin_of_an_absent_token() {
        let absent = v1::Token { present: false, ..token(v1::TriesLeft::All) };
        let error = question(&absent, Code::Pin, LastTry::Keep).unwrap_err();
        assert_eq!(error.reason(), Some(Reason::TokenAbsent));
        assert_eq!(error.to_string(), "token release, serial 4711: it is not there");
    }

    #[test]
    fn a_counter_is_shown_as_far_as_it_is_known() {
        let counter = |left, most| v1::Tries { left, most };
        for (counter, shown) in [
            (Some(counter(Some(2), Some(3))), Some("2 of 3")),
            (Some(counter(Some(2), None)), Some("2")),
            (Some(counter(None, Some(3))), None),
            (None, None),
        ] {
            assert_eq!(tries(counter.as_ref()).as_deref(), shown);
        }
    }
}
