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
    let head = FIRST.iter().filter_map(|name| record.get(*name)).map(shown).collect::<Vec<_>>().join(" ");
    let rest = record
        .iter()
        .filter(|(name, _)| !FIRST.contains(&name.as_str()) && !HIDDEN.contains(&name.as_str()))
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| format!(" {name}={}", shown(value)));
    visible(&format!("{head}{}", rest.collect::<String>()))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            text.chars().take(SHOWN_HEX).collect()
        }
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_record_is_one_line_for_people() {
        let digest = "3a".repeat(32);
        let body = format!(
            r#"{{"acknowledged":[],"decision":"next","digest":"{digest}","gun":"e/a","keys":["{digest}","x"],"kind":"granted","principal":"uid:0","role":"targets","seq":7,"time":"2026-11-20T23:00:00Z","v":1,"version":2}}"#
        );
        assert_eq!(
            in_words(7, &body),
            "7 2026-11-20T23:00:00Z uid:0 granted decision=next digest=3a3a3a3a3a3a gun=e/a keys=3a3a3a3a3a3a,x role=targets version=2"
        );
    }

    #[test]
    fn a_record_cannot_draw_on_the_terminal() {
        assert_eq!(in_words(1, "{\"gun\":\"a\\u001b[2J\"}"), " gun=a\\u{1b}[2J");
        assert_eq!(in_words(1, "no\tjson"), "1 no\\tjson");
    }
}
