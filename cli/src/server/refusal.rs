//! What a status other than 200 means, with the server's own words shown whole.

use serde::Deserialize;
use serde_json::Value;
use signet_tuf::Gun;

use super::{
    Access, ServerError,
    error::{Permission, Refusal},
    mask::Mask,
};
use crate::credentials::Who;

/// What was asked, when it was refused.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) server: &'a str,
    pub(super) gun: &'a Gun,
    pub(super) what: String,
    pub(super) access: Access,
    pub(super) who: Who,
    /// What it may repeat of ours.
    pub(super) mask: &'a Mask,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: Value,
}

/// What stands for words that are too many.
pub(super) fn too_long() -> &'static [u8] {
    b"(what it says is longer than 64 KiB)"
}

/// The error that a status is. `complaint` is what the server says against a token.
pub(super) fn refusal(asked: Asked<'_>, status: u16, complaint: Option<String>, body: &[u8]) -> ServerError {
    let server = asked.server.to_owned();
    let errors = errors(body);
    let has = |code: &str| errors.iter().any(|error| error.code == code);
    let text = asked.mask.over(&if errors.is_empty() { plain(body) } else { joined(&errors, said) });
    match status {
        404 => ServerError::NotFound { server, gun: asked.gun.to_string(), what: asked.what },
        401 | 403 => {
            let permission = if status == 401 { Permission::Unauthorized } else { Permission::Forbidden };
            let text = complaint.into_iter().chain(Some(words(body)).filter(|text| !text.is_empty()));
            ServerError::Denied(Box::new(Refusal {
                server,
                gun: asked.gun.to_string(),
                access: asked.access,
                permission,
                who: asked.who,
                text: asked.mask.over(&text.collect::<Vec<_>>().join("; ")),
            }))
        }
        400 if has("VERSION") => ServerError::Conflict { server, text },
        // two publishes met in the server's database
        500 if has("UPDATING") => ServerError::Conflict { server, text },
        400 if text.is_empty() => ServerError::Rejected { server, text: "trust server rejected operation.".into() },
        400 => ServerError::Rejected { server, text },
        _ => ServerError::Status { server, status, text },
    }
}

/// What an answer says in words: the errors of notary-server or of a token server, OAuth's, or plain text.
pub(super) fn words(body: &[u8]) -> String {
    let errors = errors(body);
    if !errors.is_empty() {
        return joined(&errors, |error| format!("{}: {}{}", error.code, error.message, detail(&error.detail)));
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    // RFC 6749 §5.2; Docker Hub; others
    let told = ["error", "error_description", "details", "detail", "message"].into_iter().filter_map(member);
    let told = told.collect::<Vec<_>>().join(": ");
    if told.is_empty() { plain(body) } else { told }
}

fn errors(body: &[u8]) -> Vec<OneError> {
    serde_json::from_slice::<Errors>(body).map(|body| body.errors).unwrap_or_default()
}

fn joined(errors: &[OneError], say: impl Fn(&OneError) -> String) -> String {
    errors.iter().map(say).collect::<Vec<_>>().join("; ")
}

/// The text of a body that is made for people: no page, no data.
fn plain(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    if text.starts_with(['<', '{', '[']) || text.contains('\0') {
        return String::new();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One error in Notary's words.
fn said(error: &OneError) -> String {
    let kind = error.detail.get("Name").and_then(Value::as_str);
    let inner = error.detail.get("Error").and_then(|e| e.get("Msg")).and_then(Value::as_str);
    let prefix = match kind {
        Some("ErrValidation") => "An error occurred during validation",
        Some("ErrBadRoot") => "The root metadata is invalid",
        Some("ErrBadTargets") => "The targets metadata is invalid",
        Some("ErrBadSnapshot") => "The snapshot metadata is invalid",
        Some("ErrBadHierarchy") => "Metadata hierarchy is incomplete",
        Some(_) | None => "",
    };
    match (prefix, inner) {
        ("", _) | (_, None) => {
            let detail = detail(&error.detail);
            format!("trust server rejected operation: {}: {}{detail}", error.code, error.message)
        }
        (prefix, Some(text)) => format!("{prefix}: {text}"),
    }
}

fn detail(detail: &Value) -> String {
    match detail {
        Value::Null => String::new(),
        Value::String(text) => format!(" ({text})"),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => format!(" ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> ServerError {
        let gun = "g".parse().unwrap();
        let (server, access, mask) = ("h:1", Access::Write, &Mask::default());
        let asked = Asked { server, gun: &gun, what: "targets".into(), access, who: Who::Nobody, mask };
        refusal(asked, status, None, body.as_bytes())
    }

    #[test]
    fn the_servers_words_are_notarys() {
        let detail = |name: &str, text: &str| {
            format!(
                r#"{{"errors":[{{"code":"INVALID_UPDATE","message":"m","detail":{{"Name":"{name}","Error":{{"Msg":"{text}"}}}}}}]}}"#
            )
        };
        let table = [
            (400, detail("ErrBadTargets", "x"), "The targets metadata is invalid: x"),
            (400, detail("ErrBadRoot", "x"), "The root metadata is invalid: x"),
            (400, detail("ErrBadSnapshot", "x"), "The snapshot metadata is invalid: x"),
            (400, detail("ErrBadHierarchy", "x"), "Metadata hierarchy is incomplete: x"),
            (400, detail("ErrValidation", "rpc"), "An error occurred during validation: rpc"),
            (
                400,
                r#"{"errors":[{"code":"INVALID_ROLE","message":"no","detail":"releases"}]}"#.into(),
                "trust server rejected operation: INVALID_ROLE: no (releases)",
            ),
            (400, "<html>".into(), "trust server rejected operation."),
            (400, "upload too\n odd".into(), "upload too odd"),
            (401, String::new(), "h:1 does not let somebody without a user name publish g (401)"),
            (403, "not you".into(), "h:1 does not let somebody without a user name publish g (403): not you"),
            (404, String::new(), "h:1 does not have trust data for g"),
            (503, String::new(), "unable to reach trust server at this time: 503."),
            (302, String::new(), "unable to reach trust server at this time: 302."),
        ];
        for (status, body, text) in table {
            assert_eq!(refused(status, &body).to_string(), text);
        }
    }

    #[test]
    fn every_kind_of_token_server_is_understood() {
        for (body, text) in [
            (r#"{"errors":[{"code":"DENIED","message":"no","detail":{"user":"a"}}]}"#, r#"DENIED: no ({"user":"a"})"#),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (r#"{"error":"invalid_grant","error_description":"it has expired"}"#, "invalid_grant: it has expired"),
            ("wrong\npassword", "wrong password"),
            (r#"{"token":"secret"}"#, ""),
            ("<html>", ""),
        ] {
            assert_eq!(words(body.as_bytes()), text);
        }
    }

    #[test]
    fn a_lost_race_is_told_apart() {
        let version = r#"{"errors":[{"code":"VERSION","message":"m","detail":{}}]}"#;
        let updating = r#"{"errors":[{"code":"UPDATING","message":"m","detail":null}]}"#;
        assert!(matches!(refused(400, version), ServerError::Conflict { .. }));
        assert!(matches!(refused(500, updating), ServerError::Conflict { .. }));
        assert!(matches!(refused(500, "{}"), ServerError::Status { status: 500, .. }));
    }
}
