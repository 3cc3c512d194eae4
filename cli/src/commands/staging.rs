//! What every command that stages has in common: changes go into the changelist, and from there to the server if that is
//! wanted at once.

use clap::Args;
use signet_tuf::Gun;
use time::OffsetDateTime;

use super::{
    plan::{self, As},
    publish,
};
use crate::{
    collection::errand::Errand,
    context::Context,
    exit::CliError,
    trustdir::{GunDir, change::Change},
};

/// What is to become of changes.
#[derive(Debug, Args)]
pub struct Then {
    /// Auto-publish staged changes
    #[arg(short = 'p', long)]
    publish: bool,
    /// Show what a publish would sign with this change, and stage nothing
    #[arg(long, conflicts_with = "publish")]
    dry_run: bool,
}

impl Then {
    /// Whether anything is changed, so that a person has to agree.
    pub(super) const fn changes_something(&self) -> bool {
        !self.dry_run
    }
}

/// Stages changes, says so, and publishes everything that is staged if that is wanted; or shows what that would do.
///
/// # Errors
/// [`CliError`]
pub(super) async fn stage(
    context: &mut Context,
    gun: &Gun,
    changes: Vec<Change>,
    said: &str,
    then: &Then,
) -> Result<(), CliError> {
    if then.dry_run {
        return plan::show(context, gun, &Errand::staged(), changes, &[], As::Text).await;
    }
    GunDir::new(&context.trust_dir, gun).stage(&changes, OffsetDateTime::now_utc())?;
    context.out.line(said)?;
    if then.publish { publish::automatically(context, gun).await } else { Ok(()) }
}
