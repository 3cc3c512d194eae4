//! `key passwd`.

use clap::Args;
use signet_proto::v1;

use super::{file_of, find};
use crate::{agent::PivPlace, context::Context, exit::CliError};

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
        return Err(CliError::with_remedy(message, remedy(&key)));
    }
    context.agent.change_passphrase(&key).await?;
    context.out.line(&format!("\nSuccessfully updated passphrase for key ID: {}", key.key_id))
}

/// How the PIN of the key's token is changed.
fn remedy(key: &v1::Key) -> String {
    match key.places.iter().find_map(|place| PivPlace::of(&place.uri)) {
        Some(PivPlace { serial, .. }) => format!("change the PIN: signet token pin change {serial}"),
        None => "change the PIN with the token's own tool".to_owned(),
    }
}
