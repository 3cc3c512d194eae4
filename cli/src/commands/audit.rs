//! `audit tail`: the agent's record of what it decided and did.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use signet_proto::v1;

use crate::{
    agent::{AgentError, answered, audit_client},
    context::Context,
    exit::CliError,
    log::visible,
};

/// What a line begins with; other members follow as they are.
const FIRST: [&str; 4] = ["seq", "time", "principal", "kind"];
/// Members that a person does not need.
const HIDDEN: [&str; 1] = ["v"];
/// How much of a digest or key is shown.
const SHOWN_HEX: usize = 12;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Show the newest records
    Tail(TailArgs),
}

#[derive(Debug, Args)]
struct TailArgs {
    /// How many
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10)]
    lines: u64,
    /// Go on with new records as they are written
    #[arg(short, long)]
    follow: bool,
    /// The records themselves, one JSON object on each line
    #[arg(long)]
    json: bool,
}

/// Runs `audit`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: AuditArgs) -> Result<(), CliError> {
    match args.command {
        AuditCommand::Tail(args) => tail(context, &args).await,
    }
}

async fn tail(context: &mut Context, args: &TailArgs) -> Result<(), CliError> {
    // A limit of 0 means all on the wire.
    if args.lines == 0 && !args.follow {
        return Ok(());
    }
    let channel = context.agent.link().await?.channel;
    let request = v1::ReadAuditRequest { from: 0, limit: args.lines.max(1), tail: true, follow: args.follow };
    let mut records = answered(audit_client(&channel).read(request)).await?;
    while let Some(record) = records.message().await.map_err(AgentError::from)? {
        let body = String::from_utf8_lossy(&record.body);
        let line = if args.json { body.into_owned() } else { in_words(record.seq, &body) };
        context.out.line(&line)?;
    }
    Ok(())
}

/// A record for people; one that is no JSON object is shown as it is.
fn in_words(seq: u64, body: &str) -> String {
    let Ok(record) = serde_json::from_str::<Map<String, Value>>(body) else {
        return format!("{seq} {}", visible(body));
    };
    let mut record = Members(record);
    let head = FIRST.map(|name| record.take(name)).join(" ");
    for name in HIDDEN {
        record.take(name);
    }
    let kind = head.clone();
    let kind = kind.rsplit(' ').next().unwrap_or_default();
    let sentence = record.sentence(kind);
    let said = [head, sentence, record.rest()].map(|part| part.trim().to_owned());
    visible(&said.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
}

/// The members of a record that have not been said yet.
struct Members(Map<String, Value>);

impl Members {
    fn take(&mut self, name: &str) -> String {
        let value = self.0.remove(name).unwrap_or(Value::Null);
        if name == "place" { place(&shown(&value)) } else { shown(&value) }
    }

    /// A word, and the member if it is not empty.
    fn say(&mut self, word: &str, name: &str) -> String {
        let value = self.take(name);
        if value.is_empty() || value == "0" { String::new() } else { format!("{word}{value}") }
    }

    fn line(&mut self) -> String {
        format!("{}{}{}", self.take("gun"), self.say(" ", "role"), self.say(" v", "version"))
    }

    /// What the kinds that stand in every log say, in the order in which a person asks.
    fn sentence(&mut self, kind: &str) -> String {
        match kind {
            "granted" => [
                self.line(),
                self.say(", ", "decision"),
                self.say(", content ", "digest"),
                self.say(", keys ", "keys"),
                self.say(", acknowledged ", "acknowledged"),
                self.say(", expires ", "expires"),
            ]
            .concat(),
            "adopted" | "abandoned" => [self.line(), self.say(", content ", "digest")].concat(),
            "collection" => [self.take("how"), self.say(" ", "gun"), self.say(", root 1 ", "collection")].concat(),
            "certificate" | "certificate-request" => {
                [self.take("gun"), self.say(", key ", "key"), self.say(", content ", "digest")].concat()
            }
            "outcome" => {
                [self.say("of ", "of"), self.say(": ", "outcome"), self.say(", key ", "key"), self.say(", ", "place")]
                    .concat()
            }
            "refused" => [
                self.say("to ", "request"),
                self.say(" ", "gun"),
                self.say(" ", "role"),
                self.say(" v", "version"),
                self.say(": ", "reason"),
                self.say(", not recorded before: ", "uncounted"),
                self.say(", content ", "digest"),
            ]
            .concat(),
            "key-made" => [
                self.say("key ", "key"),
                self.say(", ", "algorithm"),
                self.say(", ", "role"),
                self.say(" of ", "gun"),
                self.say(", ", "place"),
            ]
            .concat(),
            "key-imported" | "key-exported" | "key-removed" | "key-resealed" => [
                self.say("key ID ", "key_id"),
                self.say(", ", "role"),
                self.say(" of ", "gun"),
                self.say(", ", "place"),
            ]
            .concat(),
            _ => String::new(),
        }
    }

    /// Members of a newer agent are shown by their names.
    fn rest(&self) -> String {
        let named = |(name, value): (&String, &Value)| {
            let value = shown(value);
            if value.is_empty() || name == "collection" { String::new() } else { format!(" {name}={value}") }
        };
        self.0.iter().map(named).collect()
    }
}

/// A PKCS#11 URI (RFC 7512) by its token, a key file by its directory and the beginning of its name.
fn place(uri: &str) -> String {
    if let Some(path) = uri.strip_prefix("pkcs11:") {
        let token = path.split(';').find_map(|attribute| attribute.strip_prefix("token="));
        return token.map_or_else(|| uri.to_owned(), |token| format!("token {token}"));
    }
    match uri.rsplit_once('/') {
        Some((dir, name)) if name.len() > SHOWN_HEX => {
            format!("{dir}/{}...", name.chars().take(SHOWN_HEX).collect::<String>())
        }
        _ => uri.to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            text.chars().take(SHOWN_HEX).collect()
        }
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_record_is_one_line_for_people() {
        let digest = "3a".repeat(32);
        let table = [
            (
                format!(
                    r#"{{"acknowledged":[],"collection":"{digest}","decision":"next","digest":"{digest}","gun":"e/a","keys":["{digest}","x"],"kind":"granted","principal":"uid:0","role":"targets","seq":7,"time":"2026-11-20T23:00:00Z","v":1,"version":2}}"#
                ),
                "7 2026-11-20T23:00:00Z uid:0 granted e/a targets v2, next, content 3a3a3a3a3a3a, keys 3a3a3a3a3a3a,x",
            ),
            (
                format!(
                    r#"{{"key":"{digest}","kind":"outcome","of":7,"outcome":"signed","place":"pkcs11:token=release;serial=1;id=%01","principal":"agent","seq":8,"time":"T","v":1}}"#
                ),
                "8 T agent outcome of 7: signed, key 3a3a3a3a3a3a, token release",
            ),
            (
                r#"{"agent":"9.9","kind":"opened","ledger":"ab","principal":"agent","seq":0,"time":"T","v":1}"#
                    .to_owned(),
                "0 T agent opened agent=9.9 ledger=ab",
            ),
        ];
        for (body, line) in table {
            assert_eq!(in_words(0, &body), line);
        }
    }

    #[test]
    fn a_record_cannot_draw_on_the_terminal() {
        assert_eq!(in_words(1, "{\"gun\":\"a\\u001b[2J\"}").trim(), "gun=a\\u{1b}[2J");
        assert_eq!(in_words(1, "no\tjson"), "1 no\\tjson");
    }
}
