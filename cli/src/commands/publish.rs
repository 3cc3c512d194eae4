//! `publish`.

use clap::Args;

use crate::{context::Context, exit::CliError};

/// Arguments of `publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {}

/// Runs `publish`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: PublishArgs) -> Result<(), CliError> {
    let _placeholder = (context, args);
    Err(CliError::failed("not built yet"))
}
