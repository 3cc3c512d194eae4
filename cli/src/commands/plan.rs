//! `--dry-run`: what a command would sign and publish.

use serde_json::{Value, json};
use signet_tuf::{Gun, Role};
use time::OffsetDateTime;

use crate::{
    collection::{
        errand::Errand,
        plan::{Plan, PlannedRole, Stands, plan},
    },
    context::Context,
    exit::CliError,
    trustdir::change::Change,
};

/// As much of a change list as a person reads.
const MOST_LINES: usize = 40;

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    Text,
    Json,
}

/// Shows what a publication would do, if `more` were staged too. `beforehand` are sentences about what it would make or ask for first.
///
/// # Errors
/// [`CliError`], as the publication itself as far as it can be known.
pub(super) async fn show(
    context: &mut Context,
    gun: &Gun,
    errand: &Errand,
    more: Vec<Change>,
    beforehand: &[String],
    shape: As,
) -> Result<(), CliError> {
    let plan = plan(context, gun, errand, more, OffsetDateTime::now_utc()).await?;
    match shape {
        As::Json => context.out.json(&as_json(gun, &plan, beforehand)),
        As::Text => context.out.bytes(as_text(gun, &plan, beforehand).as_bytes()),
    }
}

fn as_text(gun: &Gun, plan: &Plan, beforehand: &[String]) -> String {
    let mut lines = vec![format!("What would be done for {gun}; nothing is signed, made or sent:")];
    lines.extend(beforehand.iter().map(|sentence| format!("  {sentence}")));
    match plan.stands {
        Stands::Published => {}
        Stands::Local => lines.push("  the collection that init made is published for the first time".to_owned()),
        Stands::Nowhere => lines.push("  the collection is made first: root, targets and snapshot".to_owned()),
    }
    if plan.outbox {
        lines.push("  what an earlier publish has signed and not posted is posted first".to_owned());
    }
    if plan.roles.is_empty() && plan.stands == Stands::Published && beforehand.is_empty() {
        lines.push("  nothing".to_owned());
    }
    lines.extend(plan.roles.iter().flat_map(role_lines));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn role_lines(planned: &PlannedRole) -> Vec<String> {
    let PlannedRole { role, before, version, expires, keys, threshold, changes } = planned;
    let from = before.map_or_else(String::new, |before| format!(" (now {before})"));
    let mut lines = vec![String::new(), format!("{role} version {version}{from}, expires {expires}")];
    let signing = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let wanted = if *threshold > 1 { format!("{threshold} of ") } else { String::new() };
    let signing = if signing.is_empty() { "the new key".to_owned() } else { signing };
    lines.push(format!("  signed by {wanted}{signing}"));
    lines.extend(changes.iter().take(MOST_LINES).map(|change| format!("  {change}")));
    let more = changes.len().saturating_sub(MOST_LINES);
    if more > 0 {
        lines.push(format!("  and {more} more; --json shows all"));
    }
    if changes.is_empty() {
        let content = if *role == Role::Snapshot { "names the new versions" } else { "the same content" };
        lines.push(format!("  {content}"));
    }
    lines
}

fn as_json(gun: &Gun, plan: &Plan, beforehand: &[String]) -> Value {
    let role = |planned: &PlannedRole| {
        json!({
            "role": planned.role.to_string(),
            "before": planned.before.map(|version| version.get()),
            "version": planned.version.get(),
            "expires": planned.expires.to_string(),
            "keys": planned.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "threshold": planned.threshold,
            "changes": planned.changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    json!({
        "gun": gun.to_string(),
        "stands": match plan.stands {
            Stands::Published => "published",
            Stands::Local => "local",
            Stands::Nowhere => "nowhere",
        },
        "beforehand": beforehand,
        "outbox": plan.outbox,
        "roles": plan.roles.iter().map(role).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use signet_tuf::{Expires, KeyId, Version, diff::Change};
    use time::macros::datetime;

    use super::*;

    fn planned(changes: usize) -> PlannedRole {
        let target = |number: usize| Change::TargetAdded { name: format!("t{number}"), bytes: 3 };
        PlannedRole {
            role: Role::Targets,
            before: Version::new(4),
            version: Version::new(5).unwrap(),
            expires: Expires::at(datetime!(2029-01-01 0:00 UTC)),
            keys: vec![KeyId::from_bytes([1; 32])],
            threshold: 2,
            changes: (0..changes).map(target).collect(),
        }
    }

    fn text(stands: Stands, roles: Vec<PlannedRole>, beforehand: &[String]) -> String {
        as_text(&"example.com/a".parse().unwrap(), &Plan { stands, outbox: false, roles }, beforehand)
    }

    #[test]
    fn a_plan_names_version_expiry_keys_and_changes() {
        let shown = text(Stands::Published, vec![planned(1)], &[]);
        let expected = format!(
            "What would be done for example.com/a; nothing is signed, made or sent:\n\n\
             targets version 5 (now 4), expires 2029-01-01T00:00:00Z\n  signed by 2 of {}\n  + target \"t0\", 3 bytes\n",
            "01".repeat(32)
        );
        assert_eq!(shown, expected);
        assert!(text(Stands::Published, vec![], &[]).ends_with("  nothing\n"));
        assert!(text(Stands::Nowhere, vec![], &[]).contains("is made first"));
        assert!(!text(Stands::Published, vec![], &["a key is made".to_owned()]).contains("nothing\n"));
    }

    #[test]
    fn a_long_list_is_cut_for_people_and_whole_for_programs() {
        let shown = text(Stands::Published, vec![planned(50)], &[]);
        assert!(shown.contains("and 10 more") && !shown.contains("t41"), "{shown}");
        let plan = Plan { stands: Stands::Published, outbox: true, roles: vec![planned(50)] };
        let told = as_json(&"example.com/a".parse().unwrap(), &plan, &[]);
        assert_eq!(told.pointer("/roles/0/changes").and_then(Value::as_array).map(Vec::len), Some(50));
    }
}
