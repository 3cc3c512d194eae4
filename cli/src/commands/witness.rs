//! `witness`: stages that roles are signed again as they are.

use clap::Args;
use signet_tuf::{Gun, Role};

use super::{
    names::gun,
    staging::{Then, stage},
};
use crate::{
    collection::outlook::{Outlook, Prospect},
    context::Context,
    exit::CliError,
    trustdir::{GunDir, change::Change},
};

/// Marks roles to be signed again at the next publish, with a new version and expiry: after one of their keys was removed, or
/// before they expire.
#[derive(Debug, Args)]
pub struct WitnessArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// targets, or delegations like targets/releases
    #[arg(value_name = "ROLE", required = true)]
    roles: Vec<String>,
    #[command(flatten)]
    then: Then,
}

/// Runs `witness`.
///
/// # Errors
/// [`CliError`] names a role that cannot be witnessed; nothing is staged then.
pub async fn run(context: &mut Context, args: WitnessArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = args.roles.iter().map(|text| role(text)).collect::<Result<Vec<_>, _>>()?;
    warn(&gun, &Outlook::of(&GunDir::new(&context.trust_dir, &gun)), &roles);
    let changes = roles.iter().map(|role| Change::witness(role.as_str())).collect();
    let names: Vec<_> = roles.iter().map(Role::as_str).collect();
    let said = format!(
        "The following roles were successfully marked for witnessing on the next publish:\n\t- {}",
        names.join("\n\t- ")
    );
    stage(context, &gun, changes, &said, &args.then).await
}

/// Notary takes any word here, and no publication succeeds after that.
fn role(text: &str) -> Result<Role, CliError> {
    let refused = |why: String| {
        let remedy = "only targets and delegations like targets/releases can be witnessed; nothing was staged";
        CliError::with_remedy(format!("tuf: invalid role {text}. {why}"), remedy)
    };
    let role = Role::parse(text).map_err(|error| refused(error.to_string()))?;
    if role.holds_targets() { Ok(role) } else { Err(refused("this role cannot be witnessed".to_owned())) }
}

fn warn(gun: &Gun, outlook: &Outlook, roles: &[Role]) {
    for role in roles.iter().filter(|role| **role != Role::Targets) {
        match outlook.prospect(role) {
            Prospect::There(listed) if listed.is_short_of_keys() => tracing::warn!(
                "{role} has fewer keys than must sign, so it cannot be witnessed: add one first, delegation add {gun} {role} PEM"
            ),
            Prospect::Absent => {
                tracing::warn!("{gun} has no delegation {role}, as far as it is known here; see delegation list {gun}");
            }
            Prospect::There(_) | Prospect::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::role;

    #[test]
    fn only_roles_that_hold_targets_are_witnessed() {
        for (text, is_taken) in [
            ("targets", true),
            ("targets/a/b", true),
            ("root", false),
            ("snapshot", false),
            ("timestamp", false),
            ("targets/A", false),
            ("targets/*", false),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(role(text).is_ok(), is_taken, "{text:?}");
        }
    }
}
