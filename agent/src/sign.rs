//! The story of a signature: understand, check the keys, decide and record, sign, verify, settle.

mod certify;
mod drill;
mod error;
mod hands;
mod request;
mod slot;

use std::{panic::resume_unwind, path::PathBuf, sync::Arc, thread};

use bytes::Bytes;
use signet_proto::Reason;
use signet_tuf::{Digest, KeyId, Method};

use crate::{
    caller::Connection,
    clock::Clock,
    config::Fallback,
    guard::{self, EvidenceBytes, Listed, Shown},
    intent::{self, Intent},
    keystore::{Keystores, TouchPolicy, TrustDir},
    ledger::{Ask, Ledger, Outcome, Permit, Preview, RefusedRequest},
};

pub use certify::{CertificateRequest, Certified};
pub use drill::Drilled;
pub use error::SignError;
pub use hands::MissingKey;
use hands::{Hand, Hands};
pub use request::WantedRequest;
pub use slot::SlotLabel;

/// What a caller asks to be signed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The collection's name.
    pub gun: String,
    /// The role's name.
    pub role: String,
    /// Key IDs as listed; empty: every listed key at hand.
    pub keys: Vec<String>,
    /// The canonical bytes.
    pub signed: Bytes,
    /// What is shown.
    pub evidence: EvidenceBytes,
    /// Finding codes, each with the digest for which it was acknowledged.
    pub acknowledged: Vec<(String, Vec<u8>)>,
    /// Where file keys may be.
    pub trust_dir: Option<PathBuf>,
}

/// One signature.
#[derive(Debug, Clone)]
pub struct MadeSignature {
    /// The key's ID as listed.
    pub key_id: KeyId,
    /// How it was made.
    pub method: Method,
    /// The signature in TUF's form.
    pub sig: Vec<u8>,
    /// Where the key is.
    pub place: String,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What was made.
    pub signatures: Vec<MadeSignature>,
    /// Listed keys that did not sign.
    pub missing: Vec<MissingKey>,
    /// "first", "next" or "repeat".
    pub decision: &'static str,
    /// Where the grant stands in the log.
    pub record: u64,
    /// Sentences for the person who waits.
    pub notices: Vec<String>,
}

/// Everything that a signature needs.
#[derive(Clone)]
pub struct Signing {
    /// Judges and records.
    pub ledger: Ledger,
    /// Has the keys.
    pub keystores: Keystores,
    /// Tells the time for expiry.
    pub clock: Arc<dyn Clock>,
    /// Largest request: `signed` and evidence together, in bytes.
    pub max_bytes: usize,
    /// Whether a file may stand in for an absent token.
    pub fallback: Fallback,
    /// Roles that sign only with attested keys.
    pub attested_roles: Arc<[String]>,
}

impl Signing {
    /// Signs one version of one role, or says why not; a refusal is recorded too.
    ///
    /// # Errors
    /// [`SignError`], by what the caller can do.
    ///
    /// # Cancellation
    /// Must run to its end: the caller of this spawns it, so that a client that goes away leaves no open permit.
    pub async fn sign(&self, connection: Arc<Connection>, request: Request) -> Result<Signed, SignError> {
        let mut refused = self.refusal_of(&connection, "sign", &request.gun, &request.role);
        let result = self.tell(&connection, request, &mut refused).await;
        self.note(refused, &result);
        result
    }

    /// What will be recorded if this request is refused.
    #[must_use]
    pub fn refusal_of(&self, connection: &Connection, request: &'static str, gun: &str, role: &str) -> RefusedRequest {
        RefusedRequest {
            principal: connection.principal().clone(),
            request,
            gun: gun.to_owned(),
            role: role.to_owned(),
            content: None,
            reason: "",
        }
    }

    /// Records a refusal, if it is one.
    pub fn note<T>(&self, mut refused: RefusedRequest, result: &Result<T, SignError>) {
        if let Err(error) = result
            && !is_question(error.reason())
        {
            refused.reason = error.reason().as_str();
            self.ledger.refuse(refused);
        }
    }

    /// The story itself.
    async fn tell(
        &self,
        connection: &Arc<Connection>,
        request: Request,
        refused: &mut RefusedRequest,
    ) -> Result<Signed, SignError> {
        let trust_dir = open_trust_dir(request.trust_dir.clone()).await?;
        let understood = self.understand(request).await?;
        refused.content = Some(understood.intent.mark());
        let Hands { ready, missing, mut notices } =
            self.keys_at_hand(&understood, trust_dir.as_ref(), connection).await?;
        self.must_be_attested(understood.intent.role.as_str(), &ready)?;
        let grant = self
            .ledger
            .decide(Ask {
                principal: connection.principal().clone(),
                intent: understood.intent.clone(),
                shown: understood.shown.clone(),
                keys: ready.iter().map(Hand::key_and_scheme).collect(),
                acknowledged: understood.acknowledged,
            })
            .await?;
        notices.extend(grant.notices);
        let mut signatures = Vec::with_capacity(ready.len());
        let mut granted = grant.permits.into_iter().zip(ready);
        while let Some((permit, hand)) = granted.next() {
            match self.use_permit(permit, &hand, trust_dir.as_ref(), connection).await {
                Ok(sig) => signatures.extend(hand.signatures(&sig)),
                Err(error) => {
                    for (unused, hand) in granted {
                        self.ledger.settle(unused, Outcome::NotSigned, hand.tried_at()).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(Signed { signatures, missing, decision: grant.decision, record: grant.seq.0, notices })
    }

    /// What would be decided; signs and claims nothing.
    ///
    /// # Errors
    /// [`SignError`] if the request cannot be understood.
    pub async fn preview(&self, request: Request) -> Result<(Preview, Digest), SignError> {
        let understood = self.understand(request).await?;
        let digest = understood.intent.digest;
        let preview = self.ledger.preview(understood.intent, understood.shown, understood.acknowledged).await?;
        Ok((preview, digest))
    }

    /// Parse, verify the evidence, check the absolute rules: on threads for work that takes long.
    async fn understand(&self, request: Request) -> Result<Understood, SignError> {
        let size = request.size();
        if size > self.max_bytes {
            return Err(SignError::TooLarge { size, limit: self.max_bytes });
        }
        let now = self.clock.now();
        blocking(move || {
            let (gun, role) = intent::subject(&request.gun, &request.role)?;
            // Both can be large, and a person waits.
            let (intent, shown) = thread::scope(|scope| {
                let shown = scope.spawn(|| guard::verify_evidence(&gun, &role, &request.evidence));
                let intent = Intent::parse(gun.clone(), role.clone(), &request.keys, request.signed);
                (intent, shown.join().unwrap_or_else(|panic| resume_unwind(panic)))
            });
            let (intent, shown) = (intent?, shown?);
            guard::check_chain_end(&intent.metadata, &shown)?;
            let shown = guard::listings(&intent.metadata, &request.evidence, shown)?;
            let previous = shown.current.as_ref().map(|(_, metadata)| metadata);
            guard::check_content(&intent, previous, &shown.parents, now)?;
            let listed = guard::listed_keys(&intent, &shown)?;
            let acknowledged = for_digest(request.acknowledged, &intent.digest);
            Ok(Understood { intent: intent.into(), shown: shown.into(), listed, acknowledged })
        })
        .await
    }

    /// Whether the keys were made where the configuration wants them to have been made.
    pub(in crate::sign) fn must_be_attested(&self, role: &str, hands: &[Hand]) -> Result<(), SignError> {
        if !self.attested_roles.iter().any(|attested| attested == role) {
            return Ok(());
        }
        let fails = hands.iter().find(|hand| {
            let attested = self.keystores.attestations().of(&hand.public);
            !attested.is_some_and(|attested| attested.anchor.is_ok() && attested.touch == Some(TouchPolicy::Always))
        });
        match fails {
            Some(hand) => Err(SignError::NotAttested { role: role.to_owned(), key: hand.public.canonical_id() }),
            None => Ok(()),
        }
    }

    /// One key, one byte string, one outcome. The signature is verified before it leaves: a swapped card, a
    /// wrong slot or a faulty module ends here.
    async fn use_permit(
        &self,
        permit: Permit,
        hand: &Hand,
        trust_dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<Vec<u8>, SignError> {
        let made = self.keystores.sign(&permit, &hand.place, trust_dir, connection).await;
        let sig = match made {
            Ok(sig) => sig,
            Err(error) => {
                let outcome = if error.nothing_signed() { Outcome::NotSigned } else { Outcome::Unknown };
                self.ledger.settle(permit, outcome, hand.tried_at()).await;
                return Err(error.into());
            }
        };
        let verified = hand.public.verify(hand.method, permit.message(), &sig);
        self.ledger.settle(permit, Outcome::Signed, hand.tried_at()).await;
        verified.map_err(|_| SignError::Unverified { place: hand.place.to_string() })?;
        Ok(sig)
    }
}

/// A request that was parsed and whose evidence was verified.
struct Understood {
    intent: Arc<Intent>,
    shown: Arc<Shown>,
    listed: Listed,
    acknowledged: Vec<String>,
}

impl Request {
    fn size(&self) -> usize {
        let evidence = &self.evidence;
        let documents = evidence.root_chain.iter().chain(&evidence.delegating).map(Bytes::len);
        let words = self.keys.iter().map(String::len);
        let acknowledged = self.acknowledged.iter().map(|(finding, digest)| finding.len().saturating_add(digest.len()));
        let rest = [evidence.current.len(), self.signed.len(), self.gun.len(), self.role.len()];
        documents.chain(words).chain(acknowledged).chain(rest).fold(0, usize::saturating_add)
    }
}

/// The caller is asked for something and comes back with it: no refusal, and no record.
fn is_question(reason: Reason) -> bool {
    matches!(reason, Reason::KeyLocked | Reason::EvidenceMissing)
}

/// An acknowledgement counts for the bytes it was given for, and for no others.
fn for_digest(acknowledged: Vec<(String, Vec<u8>)>, digest: &Digest) -> Vec<String> {
    acknowledged.into_iter().filter(|(_, of)| of == digest.as_bytes()).map(|(finding, _)| finding).collect()
}

/// Opens the trust directory of a request, if it names one.
///
/// # Errors
/// [`SignError::Keystore`] if it must not be used.
pub async fn open_trust_dir(path: Option<PathBuf>) -> Result<Option<TrustDir>, SignError> {
    let Some(path) = path else { return Ok(None) };
    blocking(move || Ok(Some(TrustDir::open(&path)?))).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SignError> + Send + 'static,
) -> Result<T, SignError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => Err(SignError::Internal(panic.to_string())),
    }
}
