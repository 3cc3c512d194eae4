//! `list`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {}

/// Runs `list`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: ListArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
