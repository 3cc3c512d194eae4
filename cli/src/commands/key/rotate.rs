//! `key rotate`.

use std::path::PathBuf;

use clap::Args;
use signet_proto::v1;
use signet_tuf::{Gun, Role};
use time::OffsetDateTime;

use super::{find, import, piv::PivArgs};
use crate::{
    agent::{Incoming, Place},
    collection::{
        errand::{Errand, KeptBy},
        init::why_not_root,
        root_certificate,
        rotate::{self, Count, NewKeys, Wish},
    },
    commands::{
        names::gun,
        plan::{self, As},
    },
    context::Context,
    exit::{CliError, Face},
    prompt::Answer,
    trustdir::rotation::Legacy,
};

const SURE: &str = "\
Warning: you are about to rotate your root key.

You must use your old key to sign this root rotation.
Are you sure you want to proceed?  (yes/no)  ";

/// Arguments of `key rotate`.
#[derive(Debug, Args)]
#[command(after_help = "\
The new key is remembered before anything is signed, and the old one is deleted
only after the server has accepted the new one. What failed in between can be
finished with --resume, or undone with --abort. Changes that are staged stay
staged.")]
pub(super) struct RotateArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// root, targets, snapshot or timestamp
    #[arg(value_name = "ROLE")]
    role: String,
    /// Let the server make and keep the key: required for timestamp, possible for snapshot
    #[arg(short = 'r', long, conflicts_with_all = ["key", "to", "rootcert", "token", "file"])]
    server_managed: bool,
    /// Files with the new keys; without them one is made
    #[arg(short, long, value_name = "FILE", value_delimiter = ',', conflicts_with_all = ["to", "token", "file"])]
    key: Vec<PathBuf>,
    /// ID of a new key that is at hand, or the beginning of it
    #[arg(long, value_name = "KEYID", value_delimiter = ',', conflicts_with_all = ["token", "file"])]
    to: Vec<String>,
    /// Make the new key on this token: label, serial number or PKCS#11 URI
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    token: Option<String>,
    /// Make a key file even if the agent has a token for this role
    #[arg(long)]
    file: bool,
    /// Certificate of the new root key, PEM
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token", "file"])]
    rootcert: Option<PathBuf>,
    /// How many of the new keys must sign [default: as many as now]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    threshold: Option<u32>,
    /// Sign root with the keys of so many older versions too, for clients that know only those; -1 for all
    #[arg(
        short,
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true,
        hide_default_value = true
    )]
    legacy: i64,
    /// Finish a rotation that failed, with the same key
    #[arg(long, conflicts_with_all = ["abort", "server_managed", "key", "to", "token", "file", "rootcert", "threshold"])]
    resume: bool,
    /// Undo a rotation that failed
    #[arg(long, conflicts_with_all = ["server_managed", "key", "to", "token", "file", "rootcert", "threshold"])]
    abort: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Show what would be signed and published, and do nothing
    #[arg(long, conflicts_with_all = ["resume", "abort"])]
    dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    piv: PivArgs,
}

/// Runs `key rotate`.
///
/// # Errors
/// [`CliError`]; what was begun can be finished or undone.
pub(super) async fn run(context: &mut Context, args: RotateArgs) -> Result<(), CliError> {
    let (gun, role) = (gun(&args.gun)?, rotatable(&args)?);
    if args.abort {
        return abort(context, &gun, &role).await;
    }
    if args.dry_run {
        return preview(context, &gun, role, &args).await;
    }
    let files: Vec<_> =
        args.key.iter().map(|path| import::one_key(path, &role, Some(&gun))).collect::<Result<_, _>>()?;
    if role == Role::Root && !args.resume && !args.yes && context.prompt.confirm(SURE)? == Answer::No {
        return match context.face {
            // Notary 0.7 ends with 0
            Face::Notary => context.out.line("\nAborting action."),
            Face::Signet => Err(CliError::Aborted),
        };
    }
    let now = OffsetDateTime::now_utc();
    if args.resume {
        rotate::resume(context, &gun, &role, now).await?;
    } else {
        let legacy = legacy(args.legacy)?;
        let keys = new_keys(context, &gun, &role, &args, files, now).await?;
        let wish = Wish { role: role.clone(), keys, threshold: args.threshold, legacy };
        rotate::rotate(context, &gun, wish, now).await?;
    }
    context.out.line(&format!("Successfully rotated {role} key for repository {gun}"))
}

/// Which roles have keys that can be rotated, and by whom: Notary's rules and words.
fn rotatable(args: &RotateArgs) -> Result<Role, CliError> {
    let refused = |why: String| Err(CliError::failed(why));
    match (args.role.as_str(), args.server_managed) {
        ("snapshot", _) => Ok(Role::Snapshot),
        ("root", false) => Ok(Role::Root),
        ("targets", false) => Ok(Role::Targets),
        ("timestamp", true) => Ok(Role::Timestamp),
        ("timestamp", false) if args.resume || args.abort => Ok(Role::Timestamp),
        ("timestamp", false) => Err(CliError::with_remedy(
            "notary does not permit the client managing the timestamp key",
            "with -r the server makes a new one",
        )),
        (role @ ("root" | "targets"), true) => {
            refused(format!("notary does not permit the server managing the {role} key"))
        }
        (role, _) => refused(format!("notary does not currently permit rotating the {role} key")),
    }
}

fn legacy(versions: i64) -> Result<Legacy, CliError> {
    match (versions, u32::try_from(versions)) {
        (-1, _) => Ok(Legacy::All),
        (0, _) => Ok(Legacy::None),
        (_, Ok(versions)) => Ok(Legacy::Last(versions)),
        (_, Err(_)) => {
            let remedy = "give the number of root versions whose keys are to sign too, or -1 for all";
            Err(CliError::with_remedy(format!("--legacy {versions} makes no sense"), remedy))
        }
    }
}

async fn new_keys(
    context: &mut Context,
    gun: &Gun,
    role: &Role,
    args: &RotateArgs,
    files: Vec<Incoming>,
    now: OffsetDateTime,
) -> Result<NewKeys, CliError> {
    if args.server_managed {
        return Ok(NewKeys::Servers);
    }
    if !files.is_empty() {
        // a key that is taken in and then not wanted would stay
        let count = Count { given: files.len(), threshold: args.threshold };
        rotate::look(context, gun, role, count, now).await?;
    }
    let mut at_hand = Vec::new();
    for file in &files {
        at_hand.push(brought(context, file).await?);
    }
    for id in &args.to {
        at_hand.push(find(&context.agent.keys().await?, id)?);
    }
    at_hand.sort_by(|one, other| one.key_id.cmp(&other.key_id));
    at_hand.dedup_by(|one, other| one.key_id == other.key_id);
    match (&args.rootcert, at_hand.as_slice()) {
        (Some(_), _) if *role != Role::Root => {
            Err(CliError::with_remedy("only root keys are listed in certificates", "leave out --rootcert"))
        }
        (Some(path), []) => Ok(NewKeys::Certified(vec![root_certificate::at_hand(context, path, gun, now).await?])),
        (Some(path), [key]) => Ok(NewKeys::Certified(vec![root_certificate::of_key(path, gun, &key.key_id, now)?])),
        (Some(_), _) => Err(CliError::with_remedy("--rootcert is the certificate of one key", "give one key")),
        (None, []) => Ok(NewKeys::Made(place(args)?)),
        (None, _) => fitting(role, gun, at_hand),
    }
}

/// A key from a file; one that is here already is used as it is.
async fn brought(context: &mut Context, file: &Incoming) -> Result<v1::Key, CliError> {
    match context.agent.import(file).await {
        Ok(key) => Ok(key),
        Err(error) => match import::in_the_way(&error) {
            Some(id) => find(&context.agent.keys().await?, &id),
            None => Err(error.into()),
        },
    }
}

/// Keys of the role, and for a collection's roles of this collection.
fn fitting(role: &Role, gun: &Gun, keys: Vec<v1::Key>) -> Result<NewKeys, CliError> {
    let why_not = |key: &v1::Key| match role {
        Role::Root => why_not_root(key),
        Role::Targets | Role::Snapshot | Role::Timestamp | Role::Delegation(_) => {
            if !key.role.is_empty() && key.role != role.as_str() {
                return Some(format!("its role is {}", key.role));
            }
            (!key.gun.is_empty() && key.gun != gun.as_str()).then(|| format!("it is of collection {}", key.gun))
        }
    };
    match keys.iter().find_map(|key| Some((key, why_not(key)?))) {
        None => Ok(NewKeys::AtHand(keys)),
        Some((key, why)) => {
            let message = format!("key {} cannot be the {role} key of {gun}: {why}", key.key_id);
            Err(CliError::with_remedy(message, "name another; nothing was rotated"))
        }
    }
}

fn place(args: &RotateArgs) -> Result<Place, CliError> {
    Ok(match (&args.token, args.file) {
        (Some(name), _) => Place::Token { name: name.clone(), piv: args.piv.options()? },
        (None, true) => Place::File,
        (None, false) => Place::Rule,
    })
}

async fn preview(context: &mut Context, gun: &Gun, role: Role, args: &RotateArgs) -> Result<(), CliError> {
    let by = if args.server_managed { KeptBy::Server } else { KeptBy::Us };
    let beforehand = beforehand(&role, args);
    let errand = Errand::Intended { role, threshold: args.threshold, by };
    let shape = if args.json { As::Json } else { As::Text };
    plan::show(context, gun, &errand, Vec::new(), &beforehand, shape).await
}

/// What happens before anything is signed, and after it is published.
fn beforehand(role: &Role, args: &RotateArgs) -> Vec<String> {
    let files = || args.key.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let new = if args.server_managed {
        format!("the server makes a new {role} key")
    } else if !args.key.is_empty() {
        format!("the keys in {} are taken into the trust directory", files())
    } else if !args.to.is_empty() {
        format!("the new key is {}, which is at hand", args.to.join(", "))
    } else {
        let place = match (&args.token, args.file) {
            (Some(name), _) => format!("on token {name}"),
            (None, true) => "in a file".to_owned(),
            (None, false) => "on the token that the agent has for this role, else in a file".to_owned(),
        };
        format!("a new {role} key is made {place}")
    };
    let old = match role {
        Role::Root => "the old root key signs too, and is kept".to_owned(),
        Role::Targets | Role::Snapshot | Role::Timestamp | Role::Delegation(_) => {
            format!("the old {role} key is deleted once the server has accepted the new one, if it is in a file here")
        }
    };
    vec![new, old]
}

async fn abort(context: &mut Context, gun: &Gun, role: &Role) -> Result<(), CliError> {
    let kept = rotate::abort(context, gun, role, OffsetDateTime::now_utc()).await?;
    context.out.line(&format!("Gave up the rotation of the {role} key for repository {gun}"))?;
    let here = context.agent.keys().await?;
    for id in kept.iter().map(ToString::to_string).filter(|id| here.iter().any(|key| key.key_id == *id)) {
        context.out.line(&format!("  its new key {id} stays; `key remove` removes it"))?;
    }
    Ok(())
}
