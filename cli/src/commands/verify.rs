//! `verify`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {}

/// Runs `verify`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: VerifyArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
