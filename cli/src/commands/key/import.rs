//! `key import`.

use std::{fs, path::PathBuf};

use clap::Args;
use signet_proto::v1;
use signet_tuf::{Gun, KeyId};
use zeroize::Zeroizing;

use crate::{
    agent::{AgentError, Incoming, Sealed},
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
}

/// One private key of a file.
struct Block {
    /// File and position, for people.
    name: String,
    incoming: Incoming,
}

/// Runs `key import`. All files are read before the first key is stored; a key that is there already is never overwritten.
///
/// # Errors
/// [`CliError`] names the file, and the keys that were imported before it.
pub(super) async fn run(context: &mut Context, args: ImportArgs) -> Result<(), CliError> {
    let mut blocks = Vec::new();
    for path in &args.files {
        blocks.extend(read(path, &args)?);
    }
    for block in blocks {
        import(context, block).await?;
    }
    Ok(())
}

async fn import(context: &mut Context, block: Block) -> Result<(), CliError> {
    let Block { name, incoming } = block;
    let error = match context.agent.import(&incoming).await {
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

fn read(path: &PathBuf, args: &ImportArgs) -> Result<Vec<Block>, CliError> {
    let failed = |why: String| {
        CliError::with_remedy(format!("cannot import {}: {why}", path.display()), "nothing was imported from it")
    };
    let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(failed(format!("it has {size} bytes, a file of keys has {MAX_BYTES} at most")));
    }
    let text = Zeroizing::new(fs::read(path).map_err(|error| failed(error.to_string()))?);
    if follows_its_end(&text) {
        return Err(failed("something follows its last PEM block".to_owned()));
    }
    let found = pem::parse_many(text.as_slice()).map_err(|error| failed(format!("it is not PEM ({error})")))?;
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

/// Text before the first block is a comment; after the last one it is a sign of a file that was damaged or put together.
fn follows_its_end(text: &[u8]) -> bool {
    const END: &[u8] = b"-----END ";
    let Some(last) = text.windows(END.len()).rposition(|window| window == END) else { return false };
    let after = text.get(last..).unwrap_or_default().iter().skip_while(|byte| **byte != b'\n');
    after.into_iter().any(|byte| !byte.is_ascii_whitespace())
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
    use super::*;

    fn args(role: Option<&str>, gun: Option<&str>) -> ImportArgs {
        ImportArgs { files: Vec::new(), role: role.map(str::to_owned), gun: gun.map(str::to_owned) }
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
}
