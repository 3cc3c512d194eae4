//! `add`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `add`.
#[derive(Debug, Args)]
pub struct AddArgs {}

/// Runs `add`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: AddArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
