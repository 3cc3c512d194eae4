//! `status`: what is staged.

use clap::Args;
use serde_json::{Value, json};

use super::names::gun;
use crate::{
    context::Context,
    exit::CliError,
    trustdir::{GunDir, changelist::Staged},
};

/// Displays status of unpublished changes to the local trusted collection.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Print a JSON array of number, action, scope, type and path
    #[arg(long)]
    json: bool,
}

/// Runs `status`.
///
/// # Errors
/// [`CliError`] names a change that cannot be read.
pub async fn run(context: &mut Context, args: StatusArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let staged = GunDir::new(&context.trust_dir, &gun).changes()?;
    if args.json {
        return context.out.json(&staged.iter().enumerate().map(as_json).collect());
    }
    if staged.is_empty() {
        return context.out.line(&format!("No unpublished changes for {gun}"));
    }
    context.out.line(&format!("Unpublished changes for {gun}:\n"))?;
    let rows: Vec<_> = staged
        .into_iter()
        .map(|staged| staged.change)
        .enumerate()
        .map(|(index, change)| vec![index.to_string(), change.action, change.scope, change.kind, change.path])
        .collect();
    context.out.table(&["#", "ACTION", "SCOPE", "TYPE", "PATH"], &rows)
}

fn as_json((number, staged): (usize, &Staged)) -> Value {
    let change = &staged.change;
    json!({
        "number": number,
        "action": change.action,
        "scope": change.scope,
        "type": change.kind,
        "path": change.path,
    })
}
