//! `key import`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use signet_proto::v1;
use signet_tuf::{Gun, KeyId, Role, blocks};
use zeroize::Zeroizing;

use super::{generate::whereabouts, piv::PivArgs};
use crate::{
    agent::{AgentError, Incoming, PivOptions, Sealed},
    context::Context,
    exit::CliError,
};

/// Notary 0.7: what a key is for if nothing says so.
const DEFAULT_ROLE: &str = "delegation";
/// Keys of these roles belong to one collection.
const OF_ONE_COLLECTION: [&str; 3] = ["targets", "snapshot", "timestamp"];
/// The largest file that is read: an export of a thousand keys takes a tenth.
const MAX_BYTES: u64 = 8 << 20;

/// Arguments of `key import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// PEM files with private keys
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Role of keys that do not name theirs [default: delegation]
    #[arg(short, long)]
    role: Option<String>,
    /// Collection of keys that do not name theirs
    #[arg(short, long)]
    gun: Option<String>,
    /// Put the key onto this token: label, serial number or PKCS#11 URI
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// Keep an encrypted file in the trust directory as well
    #[arg(long, requires = "token")]
    keep_file: bool,
    #[command(flatten)]
    piv: PivArgs,
}

/// Where imported keys go.
enum Destination {
    /// Into a file of the trust directory.
    File,
    /// Onto a token.
    Token { name: String, piv: PivOptions },
    /// Into a file first, so that a failure of the token loses nothing, and then onto it.
    Both { name: String, piv: PivOptions },
}

impl Destination {
    fn of(args: &ImportArgs) -> Result<Self, CliError> {
        let piv = args.piv.options()?;
        Ok(match (args.token.clone(), args.keep_file) {
            (None, _) => Self::File,
            (Some(name), false) => Self::Token { name, piv },
            (Some(name), true) => Self::Both { name, piv },
        })
    }
}

/// One private key of a file.
struct Block {
    /// File and position, for people.
    name: String,
    incoming: Incoming,
}

/// Runs `key import`. All files are read before the first key is stored; a key that is there already is never overwritten,
/// unless `--overwrite` gives up the one in a YubiKey's slot.
///
/// # Errors
/// [`CliError`] names the file, and the keys that were imported before it.
pub(super) async fn run(context: &mut Context, args: ImportArgs) -> Result<(), CliError> {
    let mut blocks = Vec::new();
    for path in &args.files {
        blocks.extend(read(path, &args)?);
    }
    if let (Some(slot), true) = (args.piv.slot(), blocks.len() > 1) {
        let message = format!("{} keys cannot all go into slot {slot}; nothing was imported", blocks.len());
        return Err(CliError::with_remedy(message, "import them one by one, or leave out --slot"));
    }
    let destination = Destination::of(&args)?;
    if matches!(destination, Destination::Token { .. }) {
        tracing::warn!(
            "the token will hold the only copy that Signet has; --keep-file keeps an encrypted file as well"
        );
    }
    for block in &blocks {
        match &destination {
            Destination::File => {
                let made = context.agent.import(&block.incoming).await;
                stored(context, block, made).await?;
            }
            Destination::Token { name, piv } => onto_token(context, block, name, piv).await?,
            Destination::Both { name, piv } => {
                let made = context.agent.import_copy(&block.incoming).await;
                stored(context, block, made).await?;
                onto_token(context, block, name, piv).await.inspect_err(|_| {
                    tracing::warn!("{}: it is kept in the trust directory, and not on token {name}", block.name);
                })?;
            }
        }
    }
    Ok(())
}

async fn onto_token(context: &mut Context, block: &Block, token: &str, piv: &PivOptions) -> Result<(), CliError> {
    let key = context.agent.import_to(&block.incoming, token, piv).await.map_err(|error| of_file(block, error))?;
    // the agent may have chosen the slot, and a token has one place of a key
    let place = key.places.iter().find(|place| !place.token.is_empty()).map(whereabouts).unwrap_or_default();
    context.out.line(&format!("Imported {} key with keyID: {}", key.role, key.key_id))?;
    context.out.line(&format!("  {place}"))
}

/// A refusal that names the file.
fn of_file(block: &Block, error: AgentError) -> AgentError {
    let AgentError::Refused { reason, message, metadata } = error else { return error };
    AgentError::Refused { reason, message: format!("{}: {message}", block.name), metadata }
}

/// Says what became of a key that was to go into a file.
async fn stored(context: &mut Context, block: &Block, made: Result<v1::Key, AgentError>) -> Result<(), CliError> {
    let Block { name, incoming } = block;
    let error = match made {
        Ok(key) => {
            tracing::info!("{name}: imported {} key {}", key.role, key.key_id);
            return Ok(());
        }
        Err(error) => error,
    };
    let Some(there) = already_there(context, &error).await? else {
        return Err(CliError::Failed { message: format!("{name}: {error}"), remedy: error.remedy() });
    };
    let same = there.role == incoming.role && there.gun == incoming.gun;
    if same {
        tracing::warn!("{name}: key {} is here already; nothing was changed", there.key_id);
        return Ok(());
    }
    let what = |key: &v1::Key| match key.gun.as_str() {
        "" => format!("as a {} key", key.role),
        gun => format!("as the {} key of {gun}", key.role),
    };
    let message = format!("{name}: key {} is here already, {}; it was not changed", there.key_id, what(&there));
    Err(CliError::with_remedy(message, format!("remove it first if it is to be another: key remove {}", there.key_id)))
}

/// The key that an import would have overwritten.
async fn already_there(context: &mut Context, error: &AgentError) -> Result<Option<v1::Key>, CliError> {
    let Some(path) = error.detail("path").filter(|path| path.ends_with(".key")) else { return Ok(None) };
    let uri = format!("file:{path}");
    let keys = context.agent.keys().await?;
    Ok(keys.into_iter().find(|key| key.places.iter().any(|place| place.uri == uri)))
}

/// The one key of a file, for a role whatever its headers say; a root key must be encrypted.
///
/// # Errors
/// [`CliError`] names the file.
pub(in crate::commands) fn one_key(path: &Path, role: &Role, gun: Option<&Gun>) -> Result<Incoming, CliError> {
    let args = ImportArgs {
        files: Vec::new(),
        role: Some(role.to_string()),
        gun: gun.map(Gun::to_string),
        token: None,
        keep_file: false,
        piv: PivArgs::default(),
    };
    let mut blocks = read(path, &args)?;
    let (Some(Block { incoming, .. }), true) = (blocks.pop(), blocks.is_empty()) else {
        let message = format!("{} holds several keys", path.display());
        return Err(CliError::with_remedy(message, "give a file with one key"));
    };
    let sealed = match (incoming.sealed, role) {
        (Sealed::No, Role::Root) => {
            let remedy = format!("`key import -r root {}` takes it in and asks for a passphrase", path.display());
            return Err(CliError::with_remedy("only encrypted root keys may be imported", remedy));
        }
        (Sealed::No, _) => Sealed::No,
        // it is opened, so that it is known which key it is
        (Sealed::Yes | Sealed::Named(_), _) => Sealed::Yes,
    };
    let gun = gun.filter(|_| OF_ONE_COLLECTION.contains(&role.as_str())).map(Gun::to_string).unwrap_or_default();
    Ok(Incoming { role: role.to_string(), gun, sealed, ..incoming })
}

/// The ID of the key whose file stood in the way of an import.
pub(in crate::commands) fn in_the_way(error: &AgentError) -> Option<String> {
    let path = Path::new(error.detail("path")?);
    let is_key = path.extension().is_some_and(|extension| extension == "key");
    path.file_stem().filter(|_| is_key)?.to_str().map(str::to_owned)
}

fn read(path: &Path, args: &ImportArgs) -> Result<Vec<Block>, CliError> {
    let failed = |why: String| {
        CliError::with_remedy(format!("cannot import {}: {why}", path.display()), "nothing was imported from it")
    };
    let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(failed(format!("it has {size} bytes, a file of keys has {MAX_BYTES} at most")));
    }
    let text = Zeroizing::new(fs::read(path).map_err(|error| failed(error.to_string()))?);
    let found = blocks(&text).map_err(|error| failed(error.to_string()))?;
    let keys: Vec<_> = found.iter().filter(|block| block.tag().ends_with("PRIVATE KEY")).collect();
    if keys.is_empty() {
        let tags: Vec<&str> = found.iter().map(pem::Pem::tag).collect();
        let holds = if tags.is_empty() { "no PEM block".to_owned() } else { tags.join(", ") };
        return Err(failed(format!("it holds no private key but {holds}")));
    }
    let many = keys.len() > 1;
    let blocks = (1..).zip(keys).map(|(number, block)| {
        let name = if many { format!("{}, key {number}", path.display()) } else { path.display().to_string() };
        let incoming = incoming(block, args).map_err(|why| failed(format!("{name}: {why}")))?;
        Ok(Block { name, incoming })
    });
    blocks.collect()
}

fn incoming(block: &pem::Pem, args: &ImportArgs) -> Result<Incoming, String> {
    let header = |name: &str| block.headers().get(name).filter(|value| !value.is_empty());
    let path = header("path").map(|path| path.trim_start_matches("tuf_keys/").trim_start_matches("root_keys/"));
    // Notary before 0.4 kept keys in directories named after their collections
    let (of_path, id) = match path.and_then(|path| path.rsplit_once('/')) {
        Some((gun, id)) => (Some(gun), Some(id)),
        None => (None, path),
    };
    let role = header("role").or(args.role.as_deref()).unwrap_or(DEFAULT_ROLE).to_owned();
    let gun = match of_path.or(header("gun")).or(args.gun.as_deref()) {
        _ if !OF_ONE_COLLECTION.contains(&role.as_str()) => String::new(),
        Some(gun) => Gun::parse(gun).map_err(|error| format!("{gun:?} is not a GUN: {error}"))?.to_string(),
        None => return Err(format!("a {role} key belongs to a collection: name it with -g")),
    };
    let encrypted =
        block.tag() == "ENCRYPTED PRIVATE KEY" || header("Proc-Type").is_some_and(|kind| kind.contains("ENCRYPTED"));
    let id: Option<KeyId> = id.and_then(|id| id.split('_').next()).and_then(|id| id.parse().ok());
    let sealed = match (encrypted, id) {
        (false, _) => Sealed::No,
        (true, Some(id)) => Sealed::Named(id),
        (true, None) => Sealed::Yes,
    };
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = Zeroizing::new(pem::encode_config(block, config).into_bytes());
    Ok(Incoming { pem: text, role, gun, sealed })
}

#[cfg(test)]
mod tests {
    use signet_proto::Reason;

    use super::*;

    fn args(role: Option<&str>, gun: Option<&str>) -> ImportArgs {
        ImportArgs {
            files: Vec::new(),
            role: role.map(str::to_owned),
            gun: gun.map(str::to_owned),
            token: None,
            keep_file: false,
            piv: PivArgs::default(),
        }
    }

    #[test]
    fn headers_say_what_a_key_is_for_and_flags_fill_in() {
        let id = "ab".repeat(32);
        let path = format!("path: tuf_keys/example.com/a/{id}_targets\n");
        for (tag, headers, flags, expected) in [
            ("EC PRIVATE KEY", "", args(None, None), Ok(("delegation", ""))),
            ("EC PRIVATE KEY", "", args(Some("user"), Some("g")), Ok(("user", ""))),
            ("EC PRIVATE KEY", "role: root\n", args(Some("user"), None), Ok(("root", ""))),
            ("EC PRIVATE KEY", "", args(Some("targets"), Some("g")), Ok(("targets", "g"))),
            ("EC PRIVATE KEY", "gun: h\nrole: snapshot\n", args(None, Some("g")), Ok(("snapshot", "h"))),
            ("EC PRIVATE KEY", "", args(Some("targets"), None), Err("name it with -g")),
            ("EC PRIVATE KEY", "", args(Some("targets"), Some("\u{1}")), Err("not a GUN")),
            ("ENCRYPTED PRIVATE KEY", path.as_str(), args(Some("targets"), None), Ok(("targets", "example.com/a"))),
        ] {
            let colon = if headers.is_empty() { "" } else { "\n" };
            let text = format!("-----BEGIN {tag}-----\n{headers}{colon}AAAA\n-----END {tag}-----\n");
            let found = incoming(&pem::parse(text).unwrap(), &flags);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!((found.role.as_str(), found.gun.as_str()), expected),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (found, expected) => panic!("{:?} {expected:?}", found.map(|found| found.role)),
            }
        }
    }

    #[test]
    fn a_key_goes_into_a_file_onto_a_token_or_both() {
        let on = |token: Option<&str>, keep_file| {
            Destination::of(&ImportArgs { token: token.map(str::to_owned), keep_file, ..args(None, None) }).unwrap()
        };
        assert!(matches!(on(None, false), Destination::File));
        assert!(matches!(on(Some("4711"), false), Destination::Token { name, .. } if name == "4711"));
        assert!(matches!(on(Some("4711"), true), Destination::Both { name, .. } if name == "4711"));
    }

    #[test]
    fn a_refusal_of_the_token_names_the_file_and_keeps_its_reason() {
        let block = Block { name: "a.pem".to_owned(), incoming: incoming_of("root") };
        let refused = AgentError::Refused {
            reason: Reason::SlotOccupied,
            message: "slot 9c holds a key".to_owned(),
            metadata: [("slot".to_owned(), "9c".to_owned())].into(),
        };
        let error = of_file(&block, refused);
        assert_eq!(error.to_string(), "a.pem: slot 9c holds a key");
        assert_eq!((error.reason(), error.detail("slot")), (Some(Reason::SlotOccupied), Some("9c")));
    }

    fn incoming_of(role: &str) -> Incoming {
        let text = format!("-----BEGIN EC PRIVATE KEY-----\nrole: {role}\n\nAAAA\n-----END EC PRIVATE KEY-----\n");
        incoming(&pem::parse(text).unwrap(), &args(None, None)).unwrap()
    }
}
