//! `lookup`: what the collection says about one target.

use clap::Args;

use super::{
    list::{as_json, load, one},
    names::{gun, subtree_roles},
};
use crate::{context::Context, exit::CliError};

/// Looks up a specific target in a remote trusted collection.
#[derive(Debug, Args)]
pub struct LookupArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the target
    #[arg(value_name = "TARGET")]
    target: String,
    /// Delegation roles to look in, in order of priority
    #[arg(short = 'r', long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    /// Print a JSON object of name, length, hashes (hex), role and custom data
    #[arg(long)]
    json: bool,
}

/// Runs `lookup`.
///
/// # Errors
/// [`CliError`] if there is no such target, or the collection cannot be had or trusted.
pub async fn run(context: &mut Context, args: LookupArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = subtree_roles(&args.roles)?;
    let trusted = load(context, &gun).await?;
    let found = one(context, &trusted, &roles, &args.target)
        .ok_or_else(|| CliError::Untrusted(format!("No valid trust data for {}", args.target)))?;
    if args.json {
        return context.out.json(&as_json(&found));
    }
    let digest = found.target.hashes.sha256.map(hex::encode).unwrap_or_default();
    context.out.line(&format!("{} sha256:{digest} {}", found.name, found.target.length))
}
