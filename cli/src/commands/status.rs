//! `status`: what is staged, and how the collection stands.

use std::fmt::Display;

use clap::Args;
use serde_json::{Value, json};
use signet_proto::v1;
use signet_tuf::{Gun, Role};
use time::OffsetDateTime;

use super::{key::whereabouts, names::gun};
use crate::{
    collection::standing::{RoleStanding, SignerStanding, is_servers, standing},
    context::Context,
    exit::{CliError, Face},
    render,
    trustdir::{GunDir, changelist::Staged},
};

/// Hex digits by which a person tells keys apart: as many as Notary's prompts show.
const SHORT_ID: usize = 7;

/// Displays status of unpublished changes to the local trusted collection.
#[derive(Debug, Args)]
#[command(after_help = "\
Versions and expiries are those that this trust directory knows: `list` brings
them up to date.")]
pub struct StatusArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Print a JSON object: changes (number, action, scope, type, path), outbox, rotation, and roles (role, version, expires,
    /// days_left, threshold, kept_by_server, keys with key_id, at_hand and places)
    #[arg(long)]
    json: bool,
}

/// What waits in the trust directory.
struct Waiting {
    staged: Vec<Staged>,
    /// Something is signed and not posted.
    outbox: bool,
    /// The role whose rotation is not finished.
    rotation: Option<Role>,
}

/// Runs `status`.
///
/// # Errors
/// [`CliError`] names a change that cannot be read.
pub async fn run(context: &mut Context, args: StatusArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let dir = GunDir::new(&context.trust_dir, &gun);
    let staged = dir.changes()?;
    if context.face == Face::Notary && !args.json {
        return context.out.bytes(changes_text(&gun, &staged).as_bytes());
    }
    // what is staged is told even if nothing else can be
    let rotation = told(dir.rotation()).flatten().map(|rotation| rotation.role);
    let waiting = Waiting { staged, outbox: told(dir.outbox()).flatten().is_some(), rotation };
    let keys = keys(context).await;
    let roles = told(standing(&dir, &keys, OffsetDateTime::now_utc()));
    if args.json {
        return context.out.json(&as_json(&waiting, roles.as_deref()));
    }
    context.out.bytes(as_text(&gun, &waiting, roles.as_deref()).as_bytes())
}

/// What is staged is told even if the agent is not there.
async fn keys(context: &mut Context) -> Vec<v1::Key> {
    context.agent.keys().await.unwrap_or_else(|error| {
        tracing::warn!("which keys are at hand cannot be told: {error}");
        Vec::new()
    })
}

fn told<T, E: Display>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!("{error}")).ok()
}

/// In Notary's words.
fn changes_text(gun: &Gun, staged: &[Staged]) -> String {
    if staged.is_empty() {
        return format!("No unpublished changes for {gun}\n");
    }
    let rows: Vec<_> = staged
        .iter()
        .map(|staged| staged.change.clone())
        .enumerate()
        .map(|(index, change)| vec![index.to_string(), change.action, change.scope, change.kind, change.path])
        .collect();
    let table = render::table(&["#", "ACTION", "SCOPE", "TYPE", "PATH"], &rows);
    format!("Unpublished changes for {gun}:\n\n{table}")
}

fn as_text(gun: &Gun, waiting: &Waiting, roles: Option<&[RoleStanding]>) -> String {
    let mut text = changes_text(gun, &waiting.staged);
    if waiting.outbox {
        text.push_str("\nAn earlier publish is signed and not posted: the next `publish` posts it first.\n");
    }
    if let Some(role) = &waiting.rotation {
        let then = format!("`key rotate {gun} {role} --resume` finishes it, --abort undoes it");
        text.push_str(&format!("\nA rotation of the {role} key is not finished: {then}.\n"));
    }
    let Some(roles) = roles else { return text };
    if roles.is_empty() {
        text.push_str(&format!("\nNothing of {gun} is known here yet: `list {gun}` asks the server.\n"));
        return text;
    }
    let rows: Vec<_> = roles.iter().map(row).collect();
    text.push('\n');
    text.push_str(&render::table(&["ROLE", "VERSION", "EXPIRES", "WHO SIGNS FROM HERE"], &rows));
    text
}

fn row(standing: &RoleStanding) -> Vec<String> {
    let (version, expires) = match &standing.known {
        Some(known) => (known.version.to_string(), in_days(known.days_left)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    vec![standing.role.to_string(), version, expires, who(standing)]
}

fn in_days(days: i64) -> String {
    match days {
        ..0 => format!("{} days ago", days.unsigned_abs()),
        0 => "today".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}

fn who(standing: &RoleStanding) -> String {
    if is_servers(standing) {
        return "the server".to_owned();
    }
    if standing.signers.is_empty() {
        return "nobody: it has no key".to_owned();
    }
    let at_hand: Vec<_> = standing.signers.iter().filter(|signer| signer.is_at_hand()).collect();
    let enough = u32::try_from(at_hand.len()).unwrap_or(u32::MAX) >= standing.threshold;
    let mut words: Vec<String> = at_hand.iter().copied().map(signs).collect();
    if !enough {
        let missing = standing.signers.iter().filter(|signer| !signer.is_at_hand());
        words.extend(missing.map(misses));
    }
    let threshold = if standing.threshold > 1 { format!("{} must: ", standing.threshold) } else { String::new() };
    let nobody = if at_hand.is_empty() { "nobody: " } else { "" };
    format!("{threshold}{nobody}{}", words.join("; "))
}

fn signs(signer: &SignerStanding) -> String {
    let place = signer.places.iter().find(|place| place.state() != v1::PlaceState::Absent);
    let place = place.map(|place| if place.uri.starts_with("file:") { "file".to_owned() } else { whereabouts(place) });
    format!("{} ({})", short(signer), place.unwrap_or_default())
}

fn misses(signer: &SignerStanding) -> String {
    match signer.absent_token() {
        Some(token) => format!("{} (insert token {token})", short(signer)),
        None => format!("{} is not here", short(signer)),
    }
}

fn short(signer: &SignerStanding) -> String {
    signer.key.to_string().chars().take(SHORT_ID).collect()
}

fn as_json(waiting: &Waiting, roles: Option<&[RoleStanding]>) -> Value {
    let change = |(number, staged): (usize, &Staged)| {
        let change = &staged.change;
        json!({
            "number": number,
            "action": change.action,
            "scope": change.scope,
            "type": change.kind,
            "path": change.path,
        })
    };
    json!({
        "changes": waiting.staged.iter().enumerate().map(change).collect::<Vec<_>>(),
        "outbox": waiting.outbox,
        "rotation": waiting.rotation.as_ref().map(ToString::to_string),
        "roles": roles.map(|roles| roles.iter().map(role_json).collect::<Vec<_>>()),
    })
}

fn role_json(standing: &RoleStanding) -> Value {
    let known = standing.known.as_ref();
    let key = |signer: &SignerStanding| {
        json!({
            "key_id": signer.key.to_string(),
            "at_hand": signer.is_at_hand(),
            "absent_token": signer.absent_token(),
            "places": signer.places.iter().map(|place| place.uri.clone()).collect::<Vec<_>>(),
        })
    };
    json!({
        "role": standing.role.to_string(),
        "version": known.map(|known| known.version.get()),
        "expires": known.map(|known| known.expires.to_string()),
        "days_left": known.map(|known| known.days_left),
        "threshold": standing.threshold,
        "kept_by_server": is_servers(standing),
        "keys": standing.signers.iter().map(key).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use signet_tuf::{Expires, KeyId, Version};
    use time::macros::datetime;

    use super::*;
    use crate::collection::standing::Known;

    fn place(uri: &str, token: &str, state: v1::PlaceState) -> v1::Place {
        v1::Place { uri: uri.to_owned(), token: token.to_owned(), state: state.into(), ..v1::Place::default() }
    }

    fn role(role: Role, threshold: u32, signers: &[(u8, &[v1::Place])]) -> RoleStanding {
        let signer = |(id, places): &(u8, &[v1::Place])| SignerStanding {
            key: KeyId::from_bytes([*id; 32]),
            places: places.to_vec(),
        };
        let expires = Expires::at(datetime!(2030-01-01 0:00 UTC));
        RoleStanding {
            role,
            known: Some(Known { version: Version::new(3).unwrap(), expires, days_left: 12 }),
            threshold,
            signers: signers.iter().map(signer).collect(),
        }
    }

    #[test]
    fn who_can_sign_is_told_and_what_is_missing() {
        let file = || place("file:/h/a.key", "", v1::PlaceState::Locked);
        let absent = || place("yubikey:4711/9c", "4711", v1::PlaceState::Absent);
        for (standing, words) in [
            (role(Role::Targets, 1, &[(1, &[file()])]), "0101010 (file)"),
            (role(Role::Targets, 1, &[(1, &[absent()])]), "nobody: 0101010 (insert token 4711)"),
            (role(Role::Targets, 1, &[(1, &[])]), "nobody: 0101010 is not here"),
            (role(Role::Targets, 1, &[(1, &[absent()]), (2, &[file()])]), "0202020 (file)"),
            (role(Role::Targets, 2, &[(1, &[]), (2, &[file()])]), "2 must: 0202020 (file); 0101010 is not here"),
            (role(Role::Root, 1, &[(1, &[absent(), file()])]), "0101010 (file)"),
            (role(Role::Snapshot, 1, &[(1, &[])]), "the server"),
            (role(Role::Snapshot, 1, &[(1, &[file()])]), "0101010 (file)"),
            (role("targets/a".parse().unwrap(), 1, &[]), "nobody: it has no key"),
            (role(Role::Timestamp, 1, &[(1, &[])]), "the server"),
        ] {
            assert_eq!(who(&standing), words, "{standing:?}");
        }
    }

    #[test]
    fn days_are_told_as_people_say_them() {
        let told: Vec<_> = [-3, 0, 1, 12].into_iter().map(in_days).collect();
        assert_eq!(told, ["3 days ago", "today", "in 1 day", "in 12 days"]);
    }

    #[test]
    fn what_waits_is_told() {
        let gun = "example.com/a".parse().unwrap();
        let waiting = Waiting { staged: Vec::new(), outbox: true, rotation: Some(Role::Targets) };
        let text = as_text(&gun, &waiting, Some(&[]));
        for words in ["No unpublished changes", "signed and not posted", "--resume", "asks the server"] {
            assert!(text.contains(words), "{text}");
        }
        let told = as_json(&waiting, Some(&[role(Role::Targets, 1, &[])]));
        assert_eq!(told.pointer("/roles/0/days_left").and_then(Value::as_i64), Some(12));
        assert_eq!(told.pointer("/rotation").and_then(Value::as_str), Some("targets"));
    }
}
