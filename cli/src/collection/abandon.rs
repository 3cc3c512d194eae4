//! A signed root that never got out, and is given up.

use bytes::Bytes;
use serde_json::Value;
use signet_proto::{Reason, v1};
use signet_tuf::{Digest, Envelope, Gun, Role, Version};

use super::CollectionError;
use crate::{
    agent::{AgentError, answered, audit_client},
    context::Context,
    server::{Edition, MAX_METADATA_BYTES, Server, ServerError},
    trustdir::GunDir,
};

/// A root that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedRoot {
    /// Its version.
    pub version: Version,
    /// Of its `signed` bytes.
    pub digest: Digest,
}

/// The root that was signed last and not given up. The agent's record knows it, even if the reply never arrived here.
///
/// # Errors
/// [`CollectionError::Agent`].
pub async fn last_signed_root(context: &mut Context, gun: &Gun) -> Result<Option<SignedRoot>, CollectionError> {
    let channel = context.agent.link().await?.channel;
    let mut records = answered(audit_client(&channel).read(v1::ReadAuditRequest::default())).await?;
    let mut last = None;
    while let Some(record) = records.message().await.map_err(AgentError::from)? {
        last = after(last, gun, &record.body);
    }
    Ok(last.filter(Granted::is_claimed).map(|granted| granted.root))
}

/// Leave to sign a root, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Granted {
    root: SignedRoot,
    seq: u64,
    /// A key has signed it, or may have.
    may_be_signed: bool,
    /// A key has not signed it.
    was_refused: bool,
}

impl Granted {
    /// Of which it is known that no key has signed it, its version is free.
    const fn is_claimed(&self) -> bool {
        self.may_be_signed || !self.was_refused
    }
}

/// The last root of `gun` that was granted and not given up, after one more record.
fn after(last: Option<Granted>, gun: &Gun, record: &[u8]) -> Option<Granted> {
    let Ok(record) = serde_json::from_slice::<Value>(record) else { return last };
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let number = |name: &str| record.get(name).and_then(Value::as_u64);
    if text("kind") == Some("outcome") {
        let of_it = last.filter(|granted| number("of") == Some(granted.seq));
        return match (of_it, text("outcome")) {
            (Some(granted), Some("not-signed")) => Some(Granted { was_refused: true, ..granted }),
            (Some(granted), _) => Some(Granted { may_be_signed: true, ..granted }),
            (None, _) => last,
        };
    }
    if text("gun") != Some(gun.as_str()) || text("role") != Some(Role::Root.as_str()) {
        return last;
    }
    match text("kind") {
        Some("granted") => {
            let digest = text("digest").and_then(|digest| digest.parse().ok());
            let root = number("version").and_then(Version::new).zip(digest);
            let root = root.map(|(version, digest)| SignedRoot { version, digest });
            root.zip(number("seq")).map(|(root, seq)| {
                let before = last.filter(|last| last.root == root && last.may_be_signed);
                Granted { root, seq, may_be_signed: before.is_some(), was_refused: false }
            })
        }
        Some("abandoned") => None,
        _ => last,
    }
}

/// Every root that the server serves; they must end before `root`.
///
/// # Errors
/// [`CollectionError::NeverPublished`], [`CollectionError::RootIsOut`], [`CollectionError::Server`].
pub async fn published_roots(server: &Server, gun: &Gun, root: SignedRoot) -> Result<Vec<Bytes>, CollectionError> {
    let current = match server.metadata(gun, &Role::Root, Edition::Current, MAX_METADATA_BYTES).await {
        Ok(wire) => wire,
        Err(ServerError::NotFound { .. }) => {
            return Err(CollectionError::NeverPublished { gun: gun.to_string(), root: root.version });
        }
        Err(error) => return Err(error.into()),
    };
    let tip = Envelope::parse(&Role::Root, &current)
        .map_err(|problem| CollectionError::Invalid {
            server: server.name().into(),
            gun: gun.as_str().into(),
            role: Role::Root.as_str().into(),
            problem: problem.into(),
        })?
        .metadata()
        .version();
    if tip >= root.version {
        return Err(CollectionError::RootIsOut { gun: gun.to_string(), root: root.version, served: tip });
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

/// Gives it up: the agent records that, and it is no longer posted from here. Returns the number of the record.
///
/// # Errors
/// [`CollectionError::Agent`], [`CollectionError::TrustDir`].
pub async fn abandoned(
    context: &mut Context,
    dir: &GunDir,
    root: SignedRoot,
    chain: Vec<Bytes>,
) -> Result<u64, CollectionError> {
    let request = v1::AbandonRequest {
        gun: dir.gun().to_string(),
        version: root.version.get(),
        digest: root.digest.as_bytes().to_vec(),
        evidence: Some(v1::Evidence { root_chain: chain, ..v1::Evidence::default() }),
    };
    let record = context.agent.abandon(request).await?.record;
    forget(dir, root)?;
    Ok(record)
}

/// Gives it up if this agent has signed it, and not given it up before.
///
/// # Errors
/// [`CollectionError::Agent`], [`CollectionError::TrustDir`].
pub(super) async fn abandoned_if_signed(
    context: &mut Context,
    dir: &GunDir,
    root: SignedRoot,
    chain: Vec<Bytes>,
) -> Result<Option<u64>, CollectionError> {
    match abandoned(context, dir, root, chain).await {
        Ok(record) => Ok(Some(record)),
        Err(CollectionError::Agent(refusal))
            if matches!(refusal.reason(), Some(Reason::EvidenceRejected | Reason::EvidenceMissing)) =>
        {
            tracing::debug!("there is nothing to give up: {refusal}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What was given up must not be posted by the next publish; what it contained is still staged.
fn forget(dir: &GunDir, root: SignedRoot) -> Result<(), CollectionError> {
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

    use super::{Granted, SignedRoot, after};

    #[test]
    fn the_record_tells_which_root_was_signed_last() {
        let gun = Gun::parse("e/a").unwrap();
        let record = |kind: &str, gun: &str, role: &str, version: u64| {
            let digest = Digest::of(&version.to_be_bytes());
            format!(
                r#"{{"seq":{version}0,"kind":"{kind}","gun":"{gun}","role":"{role}","version":{version},"digest":"{digest}"}}"#
            )
        };
        let outcome =
            |of: u64, outcome: &str| format!(r#"{{"seq":99,"kind":"outcome","of":{of},"outcome":"{outcome}"}}"#);
        let records = [
            (record("granted", "e/a", "root", 1), Some(1)),
            (outcome(10, "signed"), Some(1)),
            (record("granted", "e/a", "targets", 7), Some(1)),
            (outcome(70, "not-signed"), Some(1)),
            (record("granted", "e/b", "root", 9), Some(1)),
            (record("adopted", "e/a", "root", 8), Some(1)),
            // a crash may hide that it was signed
            (record("granted", "e/a", "root", 2), Some(2)),
            (outcome(20, "not-signed"), None),
            // of two keys one has signed
            (outcome(20, "unknown"), Some(2)),
            ("no record".to_owned(), Some(2)),
            (record("abandoned", "e/a", "root", 2), None),
            (record("granted", "e/a", "root", 3), Some(3)),
            (outcome(30, "signed"), Some(3)),
            // what was signed stays signed, whatever becomes of a repetition
            (record("granted", "e/a", "root", 3), Some(3)),
            (outcome(30, "not-signed"), Some(3)),
        ];
        let mut last = None;
        for (record, expected) in records {
            last = after(last, &gun, record.as_bytes());
            let expected = expected.map(|version: u64| SignedRoot {
                version: Version::new(version).unwrap(),
                digest: Digest::of(&version.to_be_bytes()),
            });
            let found = last.filter(Granted::is_claimed).map(|granted| granted.root);
            assert_eq!(found, expected, "{record}");
        }
    }
}
