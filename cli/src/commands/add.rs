//! `add`: stages a target.

use std::path::PathBuf;

use clap::Args;
use signet_tuf::{Hashes, Target};
use time::OffsetDateTime;

use super::{
    names::{gun, holding_roles},
    target::{custom_data, must_be_signable, read},
};
use crate::{
    commands::publish,
    context::Context,
    exit::CliError,
    trustdir::{GunDir, changelist::Change},
};

/// Adds the file as a target to the trusted collection.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the target
    #[arg(value_name = "TARGET")]
    target: String,
    /// File with the target's content
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Delegation roles to add this target to
    #[arg(short = 'r', long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    /// JSON file with custom data of the target
    #[arg(long, value_name = "FILE")]
    custom: Option<PathBuf>,
    /// Auto-publish staged changes
    #[arg(short = 'p', long)]
    publish: bool,
}

/// Runs `add`. The content is hashed now: the file is not needed for publishing.
///
/// # Errors
/// [`CliError`] names the file, name or role that cannot be used; nothing is staged then.
pub async fn run(context: &mut Context, args: AddArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = holding_roles(&args.roles)?;
    let content = read(&args.file)?;
    let custom = args.custom.as_deref().map(custom_data).transpose()?;
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let target = Target { length, hashes: Hashes::of(&content), custom };
    must_be_signable(&args.target, &target)?;
    let changes: Vec<_> = roles.iter().map(|role| Change::add_target(role.as_str(), &args.target, &target)).collect();
    GunDir::new(&context.trust_dir, &gun).stage(&changes, OffsetDateTime::now_utc())?;
    let line = format!("Addition of target \"{}\" to repository \"{gun}\" staged for next publish.", args.target);
    context.out.line(&line)?;
    if args.publish { publish::automatically(context, &gun).await } else { Ok(()) }
}
