//! `key remove`.

use clap::Args;
use signet_proto::v1;

use super::find;
use crate::{
    context::Context,
    exit::{CliError, Face},
    prompt::Answer,
};

/// Arguments of `key remove`.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// ID of the key, or the beginning of it
    #[arg(value_name = "KEYID")]
    key: String,
    /// Answer yes
    #[arg(short, long)]
    yes: bool,
}

/// Hex digits of a whole key ID.
const FULL_ID: usize = 64;

/// Runs `key remove`.
///
/// # Errors
/// [`CliError`]; a key on a token is not removed.
pub(super) async fn run(context: &mut Context, args: RemoveArgs) -> Result<(), CliError> {
    let found = find(&context.agent.keys().await?, &args.key);
    if found.is_err() && args.key.len() == FULL_ID && context.face == Face::Notary {
        // Notary 0.7 puts all that it says here between empty lines, its failure as well.
        context.out.line("\n")?;
    }
    let key = found?;
    context.out.line("")?;
    let place = choose(context, &key)?;
    let described = format!("{} (role {}) from {}", key.key_id, key.role, store(&place));
    let question = format!("Are you sure you want to remove {described}?  (yes/no)  ");
    if !args.yes && context.prompt.confirm(&question)? == Answer::No {
        // Notary 0.7 ends with 0
        return context.out.line("\nAborting action.\n");
    }
    if !place.uri.starts_with("file:") {
        let message = format!("key {} on token {} is not removed", key.key_id, place.token);
        return Err(CliError::with_remedy(message, "remove it with the token's own tool"));
    }
    context.agent.delete(&key.key_id, &place.uri).await?;
    context.out.line(&format!("\nDeleted {described}.\n"))
}

/// The place that is meant; a person is asked if there are several.
fn choose(context: &mut Context, key: &v1::Key) -> Result<v1::Place, CliError> {
    if let [place] = key.places.as_slice() {
        return Ok(place.clone());
    }
    let lines: String = (1..)
        .zip(&key.places)
        .map(|(number, place)| format!("\t{number}. {}: {} ({})\n", key.key_id, key.role, store(place)))
        .collect();
    let question =
        format!("Found the following matching keys:\n{lines}Which would you like to delete?  Please enter a number:  ");
    let answer = context.prompt.line(&question)?;
    let chosen = answer.trim().parse::<usize>().ok().and_then(|number| key.places.get(number.checked_sub(1)?));
    chosen.cloned().ok_or_else(|| CliError::failed(format!("Invalid choice: {}", answer.trim())))
}

/// Where a key is, as Notary names it: the directory of a file, or the token.
fn store(place: &v1::Place) -> String {
    match place.uri.strip_prefix("file:") {
        Some(path) => path.rsplit_once('/').map_or(path, |(directory, _)| directory).to_owned(),
        None => place.token.clone(),
    }
}
