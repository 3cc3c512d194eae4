//! `add`: stages a target.

use std::path::PathBuf;

use clap::Args;
use signet_tuf::Hashes;

use super::{
    names::gun,
    target::{HowToStage, read, stage},
};
use crate::{context::Context, exit::CliError};

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
    /// What both commands have.
    #[command(flatten)]
    how: HowToStage,
}

/// Runs `add`. The content is hashed now: the file is not needed for publishing.
///
/// # Errors
/// [`CliError`] names the file, name or role that cannot be used; nothing is staged then.
pub async fn run(context: &mut Context, args: AddArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let content = read(&args.file)?;
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let said = format!("Addition of target \"{}\" to repository \"{gun}\" staged for next publish.", args.target);
    stage(context, &gun, &args.target, (length, Hashes::of(&content)), args.how, &said).await
}
