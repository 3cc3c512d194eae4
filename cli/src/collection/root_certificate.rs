//! The certificate of a root key that somebody else made: read from a file, and told whether its key is at hand.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use signet_tuf::{
    Gun, Lifetime, PublicKey,
    root_certificate::{RootCertificateError, parse},
};
use thiserror::Error;
use time::OffsetDateTime;

use super::{CollectionError, init::why_not_root};
use crate::context::Context;

/// A chain of ten certificates has a tenth of it.
const MAX_BYTES: u64 = 1 << 20;

/// Why a file's certificate cannot be the root's.
#[derive(Debug, Error)]
pub enum CertificateProblem {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// The file is no certificate's.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// No reader would take it.
    #[error(transparent)]
    Unfit(#[from] RootCertificateError),
    /// The key that it is about is nowhere.
    #[error("no private key {key_id}, which it is for, is at hand")]
    NoKey {
        /// Canonical.
        key_id: String,
    },
    /// The key that it is about cannot be root's.
    #[error("key {key_id}, which it is for, cannot be the root key: {why}")]
    NoRootKey {
        /// Canonical.
        key_id: String,
        /// What is wrong with the key.
        why: String,
    },
    /// It is about another key than the one that was given.
    #[error("it is for key {key_id}, not for {given}")]
    OtherKey {
        /// Canonical.
        key_id: String,
        /// The one that was given.
        given: String,
    },
}

impl CertificateProblem {
    /// What the person can do.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "check the path given with --rootcert",
            Self::TooLarge | Self::Unfit(_) => {
                "let a certificate be made from the request of `key request`: CN the collection, CA:FALSE"
            }
            Self::NoKey { .. } => "insert its token, or take its key in with --rootkey or `key import -r root`",
            Self::NoRootKey { .. } => "`key list` shows the keys that are at hand",
            Self::OtherKey { .. } => "give the certificate and the key that belong together",
        }
    }
}

/// The certificate in a file, as the key that the root role of `gun` lists; its canonical ID names a root key that is at hand.
///
/// # Errors
/// [`CollectionError::Certificate`] names the file and what is wrong; [`CollectionError::Agent`].
pub async fn at_hand(
    context: &mut Context,
    path: &Path,
    gun: &Gun,
    now: OffsetDateTime,
) -> Result<PublicKey, CollectionError> {
    let public = read(path, gun, now)?;
    let key_id = public.canonical_id().to_string();
    let keys = context.agent.keys().await?;
    let problem = match keys.iter().find(|key| key.key_id == key_id) {
        None => CertificateProblem::NoKey { key_id },
        Some(key) => match why_not_root(key) {
            None => return Ok(public),
            Some(why) => CertificateProblem::NoRootKey { key_id, why },
        },
    };
    Err(unusable(path, problem))
}

/// The certificate in a file, whose key must be `given` (canonical).
///
/// # Errors
/// [`CollectionError::Certificate`].
pub fn of_key(path: &Path, gun: &Gun, given: &str, now: OffsetDateTime) -> Result<PublicKey, CollectionError> {
    let public = read(path, gun, now)?;
    let key_id = public.canonical_id().to_string();
    match key_id == given {
        true => Ok(public),
        false => Err(unusable(path, CertificateProblem::OtherKey { key_id, given: given.to_owned() })),
    }
}

/// The certificate in a file, if readers would take it as the root's; whether its key is at hand is not asked.
///
/// # Errors
/// [`CollectionError::Certificate`].
pub fn read(path: &Path, gun: &Gun, now: OffsetDateTime) -> Result<PublicKey, CollectionError> {
    let text = text(path).map_err(|problem| unusable(path, problem))?;
    let public = parse(&text, gun, now).map_err(|problem| unusable(path, problem.into()))?;
    for certificate in public.certificates() {
        if certificate.fit_at(now) == Ok(Lifetime::NearExpiry) {
            tracing::warn!("certificate with CN {} is near expiry", certificate.common_name());
        }
    }
    Ok(public)
}

fn text(path: &Path) -> Result<String, CertificateProblem> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(CertificateProblem::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| RootCertificateError::NotPem.into())
}

fn unusable(path: &Path, problem: CertificateProblem) -> CollectionError {
    CollectionError::Certificate { path: PathBuf::from(path), problem: Box::new(problem) }
}
