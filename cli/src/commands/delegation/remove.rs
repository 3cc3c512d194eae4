//! `delegation remove`: stages the removal of keys or paths, or of the whole delegation.

use clap::Args;
use signet_tuf::{DelegationName, Gun, Role};

use super::{
    key_ids,
    paths::{AllPaths, Paths, shown},
    said_of_unknown,
};
use crate::{
    collection::outlook::{Listed, Outlook, Prospect},
    commands::{
        names::gun,
        staging::{Then, stage},
    },
    context::Context,
    exit::{CliError, Face},
    prompt::Answer,
    trustdir::{GunDir, change::Change, edit::Edit},
};

/// Arguments of `delegation remove`.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the delegation, like targets/releases. It goes as a whole if neither keys nor paths are named
    #[arg(value_name = "ROLE")]
    role: String,
    /// IDs of the keys to remove, as `delegation list` shows them
    #[arg(value_name = "KEYID")]
    keys: Vec<String>,
    /// Paths to remove, with commas between
    #[arg(long, value_name = "PATHS")]
    paths: Vec<String>,
    /// Remove every path
    #[arg(long)]
    all_paths: bool,
    /// Answer yes
    #[arg(short = 'y', long)]
    yes: bool,
    #[command(flatten)]
    then: Then,
}

/// Runs `delegation remove`.
///
/// # Errors
/// [`CliError`] names the role, key ID or path that cannot be used; [`CliError::Aborted`] if a person said no. Nothing is
/// staged then.
pub(super) async fn run(context: &mut Context, args: RemoveArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let role = Role::Delegation(name(&args.role)?);
    let ids = key_ids(&args.keys)?;
    let paths = Paths::parse(AllPaths::from(args.all_paths), &args.paths)?;
    let outlook = Outlook::of(&GunDir::new(&context.trust_dir, &gun));
    let removal = Removal { gun: &gun, role, ids: &ids, paths: &paths, outlook: &outlook };

    removal.warn();
    let changes = if removal.is_of_all() {
        if args.then.changes_something() {
            removal.confirm_all(context, args.yes.into())?;
        }
        vec![Change::remove_delegation(&args.role)]
    } else {
        if args.then.changes_something() {
            removal.confirm_keys(context, args.yes.into())?;
        }
        removal.changes()
    };
    stage(context, &gun, changes, &removal.said(), &args.then).await
}

fn name(text: &str) -> Result<DelegationName, CliError> {
    DelegationName::parse(text).map_err(|error| {
        let remedy = format!("{error}; a delegation is called like targets/releases; nothing was staged");
        CliError::with_remedy(format!("invalid delegation name {text}"), remedy)
    })
}

/// Whether `-y` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    ToBeAsked,
}

impl From<bool> for Consent {
    fn from(yes: bool) -> Self {
        if yes { Self::Given } else { Self::ToBeAsked }
    }
}

struct Removal<'a> {
    gun: &'a Gun,
    role: Role,
    ids: &'a [String],
    paths: &'a Paths,
    outlook: &'a Outlook,
}

impl Removal<'_> {
    fn is_of_all(&self) -> bool {
        self.ids.is_empty() && *self.paths == Paths::None
    }

    /// Says what is not there to be removed; it is staged all the same, since what is known here may be old.
    fn warn(&self) {
        let Self { gun, role, ids, paths, outlook } = self;
        let listed = match outlook.prospect(role) {
            Prospect::There(listed) => listed,
            Prospect::Absent => {
                tracing::warn!("{gun} has no delegation {role}, as far as it is known here; see delegation list {gun}");
                return;
            }
            Prospect::Unknown => return,
        };
        for id in ids.iter().filter(|id| !listed.has_key(id)) {
            tracing::warn!("{}", said_of_unknown(outlook, role.as_str(), id));
        }
        if let Paths::These(paths) = paths {
            for path in paths.iter().filter(|path| !listed.paths.contains(path)) {
                tracing::warn!("{role} has no path {path:?}, as far as it is known here; see delegation list {gun}");
            }
        }
    }

    /// Notary's question, and its answer to `-y`.
    fn confirm_all(&self, context: &mut Context, consent: Consent) -> Result<(), CliError> {
        let question = "\nAre you sure you want to remove all data for this delegation? (yes/no)\n";
        match consent {
            Consent::Given => context.out.line(&format!("{question}Confirmed `yes` from flag")),
            Consent::ToBeAsked => agreed(context, question),
        }
    }

    /// Keys that leave too few behind: Notary only warns when it is published.
    fn confirm_keys(&self, context: &mut Context, consent: Consent) -> Result<(), CliError> {
        let Some((left, threshold)) = self.too_few() else { return Ok(()) };
        let role = &self.role;
        let said = format!(
            "{role} is left with {left} of the {threshold} keys that must sign: nobody can publish in it, and readers \
             pass over what it holds, until it gets a key and is witnessed"
        );
        match (context.face, consent) {
            (Face::Signet, Consent::ToBeAsked) => {
                agreed(context, &format!("{said}.\nAre you sure you want to remove them? (yes/no) "))
            }
            (Face::Signet | Face::Notary, _) => {
                tracing::warn!("{said}");
                Ok(())
            }
        }
    }

    /// How many keys are left, and how many it takes, if this removal leaves fewer.
    fn too_few(&self) -> Option<(usize, u32)> {
        let Prospect::There(before) = self.outlook.prospect(&self.role) else { return None };
        let mut left: Listed = before.clone();
        left.drop_keys(self.ids);
        let is_changed = left.keys.len() < before.keys.len();
        (is_changed && left.is_short_of_keys()).then_some((left.keys.len(), left.threshold))
    }

    /// In Notary's order.
    fn changes(&self) -> Vec<Change> {
        let paths = match self.paths {
            Paths::All => Some(Edit::clear_paths()),
            Paths::These(paths) => Some(Edit::remove_paths(paths.clone())),
            Paths::None => None,
        };
        let keys = (!self.ids.is_empty()).then(|| Edit::remove_keys(self.ids.to_vec()));
        let edits = [paths, keys].into_iter().flatten();
        edits.map(|edit| Change::take_from_delegation(self.role.as_str(), &edit)).collect()
    }

    fn said(&self) -> String {
        let Self { gun, role, ids, .. } = self;
        if self.is_of_all() {
            return format!(
                "\nForced removal (including all keys and paths) of delegation role {role} to repository \"{gun}\" staged for next publish.\n"
            );
        }
        let keys = if ids.is_empty() { String::new() } else { format!("with keys [{}], ", ids.join(" ")) };
        let paths = match self.paths {
            Paths::None => String::new(),
            Paths::All => "with all paths, ".to_owned(),
            Paths::These(paths) => format!("with paths [{}], ", shown(paths).join("\n")),
        };
        format!("\nRemoval of delegation role {role} {keys}{paths}to repository \"{gun}\" staged for next publish.\n")
    }
}

fn agreed(context: &mut Context, question: &str) -> Result<(), CliError> {
    match context.prompt.confirm(question)? {
        Answer::Yes => Ok(()),
        Answer::No => Err(CliError::Aborted),
    }
}
