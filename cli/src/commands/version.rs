//! `version`.

use clap::Args;
use serde_json::json;

use crate::{
    context::Context,
    exit::{CliError, Face},
};

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, if the build says so.
const COMMIT: Option<&str> = option_env!("SIGNET_COMMIT");

/// Prints the version number.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Print a JSON object of version and commit
    #[arg(long)]
    json: bool,
}

/// Prints Notary's four lines, or our two.
///
/// # Errors
/// [`CliError::Output`]
pub fn run(context: &mut Context, args: &VersionArgs) -> Result<(), CliError> {
    let commit = COMMIT.unwrap_or_default();
    if args.json {
        return context.out.json(&json!({ "version": VERSION, "commit": commit }));
    }
    match context.face {
        Face::Notary => context.out.line(&format!(
            "notary\n Version:    {VERSION}\n Git commit: {commit}\n Go version: none (signet {VERSION})"
        )),
        Face::Signet => context.out.line(&format!("signet\n Version:    {VERSION}\n Git commit: {commit}")),
    }
}

/// `--version`: one line.
#[must_use]
pub fn line(face: Face) -> String {
    let commit = COMMIT.unwrap_or_default();
    match face {
        Face::Notary => {
            format!("notary Version: {VERSION}, Git commit: {commit}, Go version: none (signet {VERSION})\n")
        }
        Face::Signet => format!("signet Version: {VERSION}, Git commit: {commit}\n"),
    }
}
