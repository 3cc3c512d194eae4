//! The statements of tokens about keys that were made on them, kept beside the ledger.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use signet_tuf::{KeyName, PublicKey};

use super::piv::{self, Attested};

const CERTIFICATE: &str = "CERTIFICATE";

/// Where statements are kept, and whom they must come from.
#[derive(Debug, Clone, Default)]
pub struct Attestations {
    directory: PathBuf,
    /// Certificates that are trusted, DER.
    anchors: Arc<Vec<Vec<u8>>>,
    read: Arc<Mutex<HashMap<KeyName, Attested>>>,
}

impl Attestations {
    /// Statements in this directory, which is made when it is needed; `anchors` are PEM files.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be read.
    pub fn open(directory: PathBuf, anchors: &[PathBuf]) -> Result<Self, String> {
        let mut certificates = Vec::new();
        for path in anchors {
            let wrong = |why: &dyn std::fmt::Display| format!("attestation anchors {}: {why}", path.display());
            let text = fs::read(path).map_err(|error| wrong(&error))?;
            let blocks = pem::parse_many(text).map_err(|error| wrong(&error))?;
            let found = blocks.into_iter().filter(|block| block.tag() == CERTIFICATE).map(pem::Pem::into_contents);
            let before = certificates.len();
            certificates.extend(found);
            if certificates.len() == before {
                return Err(wrong(&"there is no certificate in it"));
            }
        }
        Ok(Self { directory, anchors: certificates.into(), read: Arc::default() })
    }

    /// Keeps a chain, and says what it states.
    ///
    /// # Errors
    /// A sentence: it is about another key, or cannot be written.
    pub(super) fn keep(&self, key: &PublicKey, chain: &[Vec<u8>]) -> Result<Attested, String> {
        let attested = self.check(key, chain)?;
        let blocks: Vec<_> = chain.iter().map(|der| pem::Pem::new(CERTIFICATE, der.clone())).collect();
        let text = pem::encode_many_config(&blocks, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF));
        let path = self.path(key.name());
        write(&path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
        self.remember(key.name(), attested.clone());
        Ok(attested)
    }

    /// What a chain states.
    ///
    /// # Errors
    /// A sentence: it is about another key, or malformed.
    pub(super) fn check(&self, key: &PublicKey, chain: &[Vec<u8>]) -> Result<Attested, String> {
        piv::read_attestation(chain, &self.anchors, key)
    }

    /// What was stated about a key when it was made.
    #[must_use]
    pub fn of(&self, public: &PublicKey) -> Option<Attested> {
        let name = public.name();
        if let Some(known) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Some(known.clone());
        }
        let attested = self.load(public)?;
        self.remember(name, attested.clone());
        Some(attested)
    }

    fn load(&self, public: &PublicKey) -> Option<Attested> {
        let path = self.path(public.name());
        let blocks = pem::parse_many(fs::read(&path).ok()?).ok()?;
        let chain: Vec<Vec<u8>> = blocks.into_iter().map(pem::Pem::into_contents).collect();
        match self.check(public, &chain) {
            Ok(attested) => Some(attested),
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "an attestation is passed over");
                None
            }
        }
    }

    fn remember(&self, name: KeyName, attested: Attested) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(name, attested);
    }

    fn path(&self, name: KeyName) -> PathBuf {
        self.directory.join(format!("{name}.pem"))
    }
}

/// Whole or not at all.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    fs::create_dir_all(directory)?;
    let unfinished = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}
