//! `ledger abandon`: gives up a signed root that never got out.

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::Value;
use signet_proto::v1;
use signet_tuf::{Digest, Envelope, Gun, Role, Version};

use super::names::gun;
use crate::{
    agent::{AgentError, answered, audit_client},
    context::Context,
    exit::CliError,
    prompt::Answer,
    server::{Edition, MAX_METADATA_BYTES, Server, ServerError},
    trustdir::GunDir,
};

/// Arguments of `ledger`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Give up a signed root that the server never accepted, so that its version can be signed again
    Abandon(AbandonArgs),
}

#[derive(Debug, Args)]
struct AbandonArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Runs `ledger`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: LedgerArgs) -> Result<(), CliError> {
    match args.command {
        LedgerCommand::Abandon(args) => abandon(context, &args).await,
    }
}

async fn abandon(context: &mut Context, args: &AbandonArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let dir = GunDir::new(&context.trust_dir, &gun);
    let _lock = dir.lock().await?;
    let Some(root) = last_signed_root(context, &gun).await? else {
        return Err(CliError::failed(format!("this agent has signed no root of {gun} that could be given up")));
    };
    let server = Server::new(&context.server)?;
    let chain = published_roots(&server, &gun, root).await?;
    if args.yes {
        context.out.line("Confirmed `yes` from flag")?;
    } else {
        agree(context, &gun, root)?;
    }
    let request = v1::AbandonRequest {
        gun: gun.to_string(),
        version: root.version.get(),
        digest: root.digest.as_bytes().to_vec(),
        evidence: Some(v1::Evidence { root_chain: chain, ..v1::Evidence::default() }),
    };
    let record = context.agent.abandon(request).await?.record;
    forget(&dir, root)?;
    context.out.line(&format!("Gave up root version {} of {gun}, record {record}", root.version))
}

/// A root that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SignedRoot {
    version: Version,
    digest: Digest,
}

/// The agent's record knows what was signed, even if the reply never arrived here.
async fn last_signed_root(context: &mut Context, gun: &Gun) -> Result<Option<SignedRoot>, CliError> {
    let channel = context.agent.link().await?.channel;
    let mut records = answered(audit_client(&channel).read(v1::ReadAuditRequest::default())).await?;
    let mut last = None;
    while let Some(record) = records.message().await.map_err(AgentError::from)? {
        last = after(last, gun, &record.body);
    }
    Ok(last)
}

/// The last signed root of `gun` after one more record.
fn after(last: Option<SignedRoot>, gun: &Gun, record: &[u8]) -> Option<SignedRoot> {
    let Ok(record) = serde_json::from_slice::<Value>(record) else { return last };
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    if text("gun") != Some(gun.as_str()) || text("role") != Some(Role::Root.as_str()) {
        return last;
    }
    match text("kind") {
        Some("granted") => {
            let version = record.get("version").and_then(Value::as_u64).and_then(Version::new);
            let digest = text("digest").and_then(|digest| digest.parse().ok());
            version.zip(digest).map(|(version, digest)| SignedRoot { version, digest })
        }
        Some("abandoned") => None,
        _ => last,
    }
}

/// Every root that the server serves; they must end before `root`.
async fn published_roots(server: &Server, gun: &Gun, root: SignedRoot) -> Result<Vec<Bytes>, CliError> {
    let current = match server.metadata(gun, &Role::Root, Edition::Current, MAX_METADATA_BYTES).await {
        Ok(wire) => wire,
        Err(ServerError::NotFound { .. }) => {
            let message = format!("{gun} was never published, so there is no version before root {}", root.version);
            return Err(CliError::with_remedy(
                message,
                format!("publish it, or begin again: signet init {gun} --new-collection"),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let tip = Envelope::parse(&Role::Root, &current)
        .map_err(|error| CliError::failed(format!("the root that the server serves for {gun} is not valid: {error}")))?
        .metadata()
        .version();
    if tip >= root.version {
        return Err(CliError::failed(format!(
            "root version {} of {gun} cannot be given up: the server serves version {tip}",
            root.version
        )));
    }
    let mut chain = Vec::new();
    let mut version = Version::FIRST;
    while version < tip {
        chain.push(server.metadata(gun, &Role::Root, Edition::Version(version), MAX_METADATA_BYTES).await?);
        let Some(next) = version.next() else { break };
        version = next;
    }
    chain.push(current);
    Ok(chain)
}

fn agree(context: &mut Context, gun: &Gun, root: SignedRoot) -> Result<(), CliError> {
    let question = format!(
        "Root version {} of {gun} is signed (SHA-256 {}) and not published.\n\
         If its bytes left this machine, somebody could still publish them.\n\
         Are you sure you want to give it up?  (yes/no)  ",
        root.version, root.digest
    );
    match context.prompt.confirm(&question)? {
        Answer::Yes => Ok(()),
        Answer::No => Err(CliError::Aborted),
    }
}

/// What was given up must not be posted by the next publish; what it contained is still staged.
fn forget(dir: &GunDir, root: SignedRoot) -> Result<(), CliError> {
    let Some(outbox) = dir.outbox()? else { return Ok(()) };
    let is_given_up = |(role, wire): &(Role, Bytes)| {
        *role == Role::Root && Envelope::parse(role, wire).is_ok_and(|envelope| envelope.digest() == root.digest)
    };
    if outbox.files.iter().any(is_given_up) {
        dir.clear_outbox()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use signet_tuf::{Digest, Gun, Version};

    use super::{SignedRoot, after};

    #[test]
    fn the_record_tells_which_root_was_signed_last() {
        let gun = Gun::parse("e/a").unwrap();
        let record = |kind: &str, gun: &str, role: &str, version: u64| {
            let digest = Digest::of(&version.to_be_bytes());
            format!(r#"{{"kind":"{kind}","gun":"{gun}","role":"{role}","version":{version},"digest":"{digest}"}}"#)
        };
        let records = [
            (record("granted", "e/a", "root", 1), Some(1)),
            (record("granted", "e/a", "targets", 7), Some(1)),
            (record("granted", "e/b", "root", 9), Some(1)),
            (record("adopted", "e/a", "root", 8), Some(1)),
            (record("granted", "e/a", "root", 2), Some(2)),
            ("no record".to_owned(), Some(2)),
            (record("abandoned", "e/a", "root", 2), None),
            (record("granted", "e/a", "root", 2), Some(2)),
        ];
        let mut last = None;
        for (record, expected) in records {
            last = after(last, &gun, record.as_bytes());
            let expected = expected.map(|version: u64| SignedRoot {
                version: Version::new(version).unwrap(),
                digest: Digest::of(&version.to_be_bytes()),
            });
            assert_eq!(last, expected, "{record}");
        }
    }
}
