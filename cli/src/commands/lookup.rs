//! `lookup`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `lookup`.
#[derive(Debug, Args)]
pub struct LookupArgs {}

/// Runs `lookup`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: LookupArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
