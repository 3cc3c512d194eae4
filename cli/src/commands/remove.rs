//! `remove`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {}

/// Runs `remove`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: RemoveArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
