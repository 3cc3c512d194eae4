//! `renew`: the same content with a new expiry.

use clap::Args;
use signet_tuf::{Gun, Role};
use time::OffsetDateTime;

use super::{
    names::gun,
    plan::{self, As},
};
use crate::{
    collection::{
        errand::Errand,
        publish::{Published, publish},
    },
    context::Context,
    exit::CliError,
};

/// Arguments of `renew`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without roles, everything is renewed that has expired or will within half a year,
as far as its keys are at hand. Changes that are staged stay staged.")]
pub struct RenewArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Roles to renew: root, targets, snapshot or delegations
    #[arg(value_name = "ROLE")]
    roles: Vec<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `renew`.
///
/// # Errors
/// [`CliError`] names the role that cannot be renewed, and why; then none is.
pub async fn run(context: &mut Context, args: RenewArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = args.roles.iter().map(|role| named(role)).collect::<Result<_, _>>()?;
    let errand = Errand::Renew(roles);
    if args.dry_run {
        let shape = if args.json { As::Json } else { As::Text };
        return plan::show(context, &gun, &errand, Vec::new(), &[], shape).await;
    }
    let renewed = publish(context, &gun, &errand, OffsetDateTime::now_utc()).await?;
    if args.json {
        return context.out.json(&renewed.iter().map(as_json).collect());
    }
    context.out.bytes(report(&gun, &renewed).as_bytes())
}

fn named(role: &str) -> Result<Role, CliError> {
    Role::parse(role).map_err(|error| {
        let remedy = "root, targets, snapshot and delegations such as targets/releases can be renewed";
        CliError::with_remedy(format!("{role:?} is not a role: {error}"), remedy)
    })
}

fn report(gun: &Gun, renewed: &[Published]) -> String {
    if renewed.is_empty() {
        return format!("Nothing of {gun} has to be renewed\n");
    }
    let line = |it: &Published| format!("  {} version {}, expires {}\n", it.role, it.version, it.expires);
    format!("Renewed for repository {gun}:\n{}", renewed.iter().map(line).collect::<String>())
}

fn as_json(renewed: &Published) -> serde_json::Value {
    serde_json::json!({
        "role": renewed.role.to_string(),
        "version": renewed.version.get(),
        "expires": renewed.expires.to_string(),
    })
}
