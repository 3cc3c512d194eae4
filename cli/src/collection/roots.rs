//! The newest root: pinned or trusted at first contact, and from then on followed, each one signed by the one before.

use bytes::Bytes;
use signet_tuf::{
    PublicKey, Role, Version,
    verify::{self, VerifyError},
};

use super::{
    CollectionError, Document, RoleProblem,
    pinning::{self, Contact, Pin},
    update::{Purpose, Update, tell, wrong},
};
use crate::server::{Edition, MAX_METADATA_BYTES};

/// How many roots may lie between the cached one and the newest. TUF 1.0.34 section 5.3.3.
const MAX_ROOT_STEPS: u64 = 1024;

impl Update<'_> {
    /// The newest root, and the roots that lead to it from the one that was trusted before.
    pub(super) async fn root(
        &self,
        former: Option<&Document>,
        edition: Edition,
    ) -> Result<(Document, Vec<Bytes>), CollectionError> {
        let gun = self.dir.gun();
        let wire = match (self.link.metadata(gun, &Role::Root, edition, MAX_METADATA_BYTES).await, former) {
            (Ok(wire), _) => wire,
            (Err(error), Some(former)) if error.is_outage() && self.purpose == Purpose::Read => {
                tell(&error);
                tracing::debug!("using the cached root: {error}");
                former.wire().clone()
            }
            (Err(error), _) => return Err(error.into()),
        };
        let newest = self.parse(&Role::Root, wire)?;
        let mut before = Vec::new();
        match former {
            None => self.first_contact(&newest)?,
            Some(former) if former.wire() == newest.wire() => {}
            Some(former) => before = self.follow(former, &newest).await?,
        }
        if self.purpose == Purpose::Read {
            match verify::current_root(gun, newest.envelope(), self.now) {
                Err(VerifyError::Expired { at }) => {
                    return Err(self.invalid(&Role::Root, RoleProblem::Expired { at }));
                }
                Err(problem) => return Err(self.invalid(&Role::Root, problem.into())),
                Ok(()) => {}
            }
        }
        self.cache(&Role::Root, &newest)?;
        Ok((newest, before))
    }

    fn first_contact(&self, newest: &Document) -> Result<(), CollectionError> {
        let gun = self.dir.gun();
        verify::structure(&Role::Root, newest.envelope().metadata())
            .map_err(|e| self.invalid(&Role::Root, e.into()))?;
        verify::first_root(gun, newest.envelope())
            .map_err(|e| CollectionError::Pinned { why: format!("root of {gun}: {e}") })?;
        self.pinned(newest, Contact::First)
    }

    /// Whether the pins allow a root that is new here. Notary asks that at first contact and of what follows an expired root;
    /// here it is asked of every root that is followed.
    fn pinned(&self, newest: &Document, contact: Contact) -> Result<(), CollectionError> {
        let gun = self.dir.gun();
        let pinned = |why| CollectionError::Pinned { why };
        let pin = pinning::pin(self.pinning, gun, contact, self.now).map_err(pinned)?;
        // a root is renewed by those who publish
        let valid_at = (self.purpose == Purpose::Read).then_some(self.now);
        let accepts = |key: &PublicKey| pin.accepts(key, self.now);
        match (verify::pinned_root(gun, newest.envelope(), valid_at, accepts), &pin) {
            // whether its certificates have expired is told by another check
            (Ok(()), _) | (Err(VerifyError::NoRootCertificate { .. }), Pin::Anything) => Ok(()),
            (Err(VerifyError::NoRootCertificate { .. }), Pin::Certificates(_) | Pin::Authorities(_)) => {
                Err(pinned("unable to match any certificates to trust_pinning config".into()))
            }
            (Err(error), _) => Err(pinned(format!("failed to validate integrity of roots: {error}"))),
        }
    }

    /// Each root from the trusted one to the newest must be signed by the one before it and by itself.
    async fn follow(&self, former: &Document, newest: &Document) -> Result<Vec<Bytes>, CollectionError> {
        let untrusted = |version: Version, why: String| CollectionError::Untrusted {
            gun: self.dir.gun().to_string(),
            version,
            why,
            copy: self.dir.metadata_dir(),
        };
        let (known, found) = (former.version(), newest.version());
        if found < known {
            return Err(self.invalid(&Role::Root, RoleProblem::Rollback { found, known }));
        }
        if found == known {
            let why = "has other content than the one that this trust directory trusts";
            return match former.envelope().digest() == newest.envelope().digest() {
                // the same root with other signatures: it must still carry its own
                true => verify::first_root(self.dir.gun(), newest.envelope())
                    .map(|()| Vec::new())
                    .map_err(|e| untrusted(found, format!("is not valid: {e}"))),
                false => Err(untrusted(found, why.into())),
            };
        }
        if found.get().saturating_sub(known.get()) > MAX_ROOT_STEPS {
            return Err(untrusted(found, format!("is more than {MAX_ROOT_STEPS} versions ahead of version {known}")));
        }
        let mut trusted = former.clone();
        let mut before = Vec::new();
        while trusted.version() < found {
            let Some(wanted) = trusted.version().next() else { break };
            let next = match wanted == found {
                true => newest.clone(),
                false => self.root_version(wanted).await?,
            };
            let previous = trusted.root().ok_or_else(|| self.invalid(&Role::Root, wrong(&Role::Root)))?;
            verify::structure(&Role::Root, next.envelope().metadata())
                .and_then(|()| verify::next_root(self.dir.gun(), previous, next.envelope()))
                .map_err(|e| {
                    untrusted(next.version(), format!("failed to validate data with current trusted certificates: {e}"))
                })?;
            before.push(trusted.wire().clone());
            trusted = next;
        }
        self.pinned(newest, Contact::Rotation)?;
        Ok(before)
    }

    /// One numbered root, as the server has it; not verified.
    ///
    /// # Errors
    /// [`CollectionError::Server`], [`CollectionError::Invalid`].
    pub(super) async fn root_version(&self, version: Version) -> Result<Document, CollectionError> {
        let edition = Edition::Version(version);
        let wire = self.link.metadata(self.dir.gun(), &Role::Root, edition, MAX_METADATA_BYTES).await?;
        self.parse(&Role::Root, wire)
    }
}
