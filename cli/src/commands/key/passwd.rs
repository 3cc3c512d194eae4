//! `key passwd`.

use clap::Args;

use super::{file_of, find};
use crate::{context::Context, exit::CliError};

/// Arguments of `key passwd`.
#[derive(Debug, Args)]
pub(super) struct PasswdArgs {
    /// ID of the key, or the beginning of it
    #[arg(value_name = "KEYID")]
    key: String,
}

/// Runs `key passwd`. The file with the new passphrase is on the disk before the old one goes.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: PasswdArgs) -> Result<(), CliError> {
    let key = find(&context.agent.keys().await?, &args.key)?;
    if file_of(&key).is_none() {
        let message = format!("key {} is on a token: it has a PIN, not a passphrase", key.key_id);
        return Err(CliError::with_remedy(message, "change the PIN with the token's own tool"));
    }
    context.agent.change_passphrase(&key).await?;
    context.out.line(&format!("\nSuccessfully updated passphrase for key ID: {}", key.key_id))
}
