//! `init`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {}

/// Runs `init`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: InitArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
