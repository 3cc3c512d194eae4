//! `delete`: forgets a collection here, and on the server if that is wanted. Private keys are never touched.

use clap::Args;
use signet_tuf::Role;

use super::names::gun;
use crate::{
    collection::{link::Link, outlook::Outlook},
    context::Context,
    exit::{CliError, Face},
    server::Access,
    trustdir::GunDir,
};

/// Deletes the trust data of a collection; keys stay.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Delete it on the server as well
    #[arg(long)]
    remote: bool,
}

/// Runs `delete`.
///
/// # Errors
/// [`CliError`]; if the server does not delete it, nothing is deleted here either.
pub async fn run(context: &mut Context, args: DeleteArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let dir = GunDir::new(&context.trust_dir, &gun);
    context.out.line(&format!("Deleting trust data for repository {gun}"))?;
    let here = held(&dir);
    if args.remote {
        let link = Link::open_for(&context.server, Access::Admin).await?;
        say(context, &format!("on the server: everything that {} has of {gun}, for everybody", link.name()))?;
        say(context, &here)?;
        link.online()?.delete(&gun).await?;
    } else {
        say(context, &here)?;
    }
    dir.delete().await?;
    say(context, "private keys stay")?;
    let remote = if args.remote { " and remote" } else { "" };
    context.out.line(&format!("Successfully deleted local{remote} trust data for repository {gun}"))
}

/// Notary says nothing of what it deletes.
fn say(context: &mut Context, text: &str) -> Result<(), CliError> {
    match context.face {
        Face::Signet => context.out.line(&format!("  {text}")),
        Face::Notary => Ok(()),
    }
}

/// What this trust directory holds of a collection.
fn held(dir: &GunDir) -> String {
    let cached = cached(dir);
    // what cannot be read goes, too
    let staged = dir.changes().map_or(0, |changes| changes.len());
    let signed =
        if dir.outbox().is_ok_and(|outbox| outbox.is_some()) { ", signed metadata that was not posted" } else { "" };
    let metadata =
        if cached.is_empty() { "no metadata".to_owned() } else { format!("metadata of {}", cached.join(", ")) };
    let changes = if staged == 1 { "1 staged change".to_owned() } else { format!("{staged} staged changes") };
    let rotation =
        if dir.rotation().is_ok_and(|rotation| rotation.is_none()) { "" } else { ", a rotation that is not finished" };
    format!("here: {metadata}, {changes}{signed}{rotation}")
}

fn cached(dir: &GunDir) -> Vec<String> {
    let outlook = Outlook::of(dir);
    let top = [Role::Root, Role::Targets];
    let rest = [Role::Snapshot, Role::Timestamp];
    let delegations = outlook.delegations().map(|(role, _)| role.clone());
    let roles = top.into_iter().chain(delegations).chain(rest);
    roles.filter(|role| dir.metadata_path(role).exists()).map(|role| role.to_string()).collect()
}
