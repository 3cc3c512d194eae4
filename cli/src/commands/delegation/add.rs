//! `delegation add`: stages keys or paths for a delegation.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use signet_tuf::{DelegationName, Gun, KeyId, PublicKey, Role};
use time::OffsetDateTime;

use super::{
    paths::{AllPaths, Paths, shown},
    pem::public_keys,
};
use crate::{
    collection::outlook::{Outlook, Prospect},
    commands::{
        names::gun,
        staging::{Then, stage},
    },
    context::Context,
    exit::CliError,
    trustdir::{GunDir, change::Change, edit::Edit},
};

/// Arguments of `delegation add`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the delegation, like targets/releases
    #[arg(value_name = "ROLE")]
    role: String,
    /// Certificates or public keys of the delegates, PEM
    #[arg(value_name = "PEM", required_unless_present_any = ["paths", "all_paths", "threshold"])]
    files: Vec<PathBuf>,
    /// Beginnings of the target names that it may hold, with commas between
    #[arg(long, value_name = "PATHS")]
    paths: Vec<String>,
    /// It may hold every name
    #[arg(long)]
    all_paths: bool,
    /// How many of its keys must sign [default: 1 for a new delegation; of one that is there it stays]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    threshold: Option<u32>,
    #[command(flatten)]
    then: Then,
}

/// Runs `delegation add`.
///
/// # Errors
/// [`CliError`] names the file, role or path that cannot be used; nothing is staged then.
pub(super) async fn run(context: &mut Context, args: AddArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let now = OffsetDateTime::now_utc();
    let keys = public_keys(&args.files, now)?;
    let name = new_name(&args.role)?;
    let paths = match Paths::parse(AllPaths::from(args.all_paths), &args.paths)? {
        Paths::None => Vec::new(),
        Paths::All => vec![String::new()],
        Paths::These(paths) => paths,
    };
    let addition = Addition { gun: &gun, role: Role::Delegation(name), paths: &paths };
    let outlook = Outlook::of(&GunDir::new(&context.trust_dir, &gun));
    addition.must_fit(&outlook)?;
    if keys.is_empty() {
        addition.must_be_there(&outlook)?;
    } else {
        addition.warn_without_paths(&outlook);
    }
    if let Some(threshold) = args.threshold {
        addition.must_have_keys(&outlook, &keys, threshold)?;
    }

    let ids: Vec<_> = keys.iter().map(|key| key.canonical_id().to_string()).collect();
    let mut changes = Vec::new();
    if !keys.is_empty() {
        let edit = Edit::add_keys(keys);
        let threshold = args.threshold.unwrap_or(edit.threshold);
        changes.push(Change::add_to_delegation(&args.role, &Edit { threshold, ..edit }));
    }
    // it would stay as it is in a delegation that is there
    if let Some(threshold) = args.threshold.filter(|_| outlook.prospect(&addition.role) != Prospect::Absent) {
        changes.push(Change::take_from_delegation(&args.role, &Edit::threshold(threshold)));
    }
    if !paths.is_empty() {
        changes.push(Change::add_to_delegation(&args.role, &Edit::add_paths(paths.clone())));
    }
    let said = said(&gun, &args.role, &ids, &paths);
    stage(context, &gun, changes, &said, &args.then).await
}

fn new_name(text: &str) -> Result<DelegationName, CliError> {
    DelegationName::parse(text).map_err(|error| {
        let remedy = format!(
            "{error}; a delegation is called like targets/releases, in small letters, digits, - and _; nothing was staged"
        );
        let message = format!("failed to create delegation: tuf: invalid role {text}. invalid delegation role name");
        CliError::with_remedy(message, remedy)
    })
}

struct Addition<'a> {
    gun: &'a Gun,
    role: Role,
    paths: &'a [String],
}

impl Addition<'_> {
    /// Refuses what would stop the next publication, as far as it is known.
    fn must_fit(&self, outlook: &Outlook) -> Result<(), CliError> {
        let Self { gun, role, paths } = self;
        if let Some(missing) = outlook.missing_above(role) {
            let message = format!("{role} cannot be made: {missing} does not exist, and only it can delegate further");
            return Err(CliError::with_remedy(
                message,
                format!(
                    "make it first: delegation add {gun} {missing} PEM --all-paths; if somebody else has made it \
                     meanwhile, delegation list {gun} fetches it; nothing was staged"
                ),
            ));
        }
        if let Some(path) = paths.iter().find(|path| !outlook.allows(role, path)) {
            let shown = if path.is_empty() { "all paths" } else { path };
            let message = format!("{role} cannot have {shown:?}: the paths above it do not allow it");
            return Err(CliError::with_remedy(
                message,
                format!(
                    "see delegation list {gun}: each path has to begin with one of its parent's; nothing was staged"
                ),
            ));
        }
        Ok(())
    }

    fn must_be_there(&self, outlook: &Outlook) -> Result<(), CliError> {
        let Self { gun, role, .. } = self;
        if outlook.prospect(role) != Prospect::Absent {
            return Ok(());
        }
        Err(CliError::with_remedy(
            format!("{role} does not exist, and a new delegation needs a key"),
            format!("name the certificate of a delegate, too: delegation add {gun} {role} PEM; nothing was staged"),
        ))
    }

    fn must_have_keys(&self, outlook: &Outlook, added: &[PublicKey], threshold: u32) -> Result<(), CliError> {
        let known = match outlook.prospect(&self.role) {
            Prospect::There(listed) => listed.keys.values().copied().collect(),
            Prospect::Absent => BTreeSet::new(),
            Prospect::Unknown => return Ok(()),
        };
        let keys: BTreeSet<KeyId> = known.into_iter().chain(added.iter().map(PublicKey::canonical_id)).collect();
        if keys.len() >= usize::try_from(threshold).unwrap_or(usize::MAX) {
            return Ok(());
        }
        Err(CliError::with_remedy(
            format!("{} has {} keys, of which {threshold} cannot sign", self.role, keys.len()),
            "name more certificates, or lower --threshold; nothing was staged",
        ))
    }

    fn warn_without_paths(&self, outlook: &Outlook) {
        let Self { gun, role, paths } = self;
        if paths.is_empty() && outlook.prospect(role) == Prospect::Absent {
            tracing::warn!(
                "{role} may not hold anything yet: give it names with delegation add {gun} {role} --paths or --all-paths"
            );
        }
    }
}

fn said(gun: &Gun, role: &str, ids: &[String], paths: &[String]) -> String {
    let keys = if ids.is_empty() { String::new() } else { format!("with keys [{}], ", ids.join(" ")) };
    let paths = if paths.is_empty() { String::new() } else { format!("with paths [{}], ", shown(paths).join("\n")) };
    format!("\nAddition of delegation role {role} {keys}{paths}to repository \"{gun}\" staged for next publish.\n")
}
