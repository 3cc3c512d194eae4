//! `status`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {}

/// Runs `status`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: StatusArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
