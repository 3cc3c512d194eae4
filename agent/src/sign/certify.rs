//! Root certificates: built here from typed fields, never from bytes that somebody sent.

use std::sync::Arc;

use signet_tuf::{
    Algorithm, Gun, Method, PublicKey, Role,
    certificate::{Subject, Template},
};
use time::{Duration, OffsetDateTime};

use super::{Hand, SignError, Signing, hands::scheme, open_trust_dir};
use crate::{
    caller::Connection,
    keystore::{KeystoreError, PlaceState, TrustDir},
    ledger::{Scheme, Statement, StatementAsk},
};

/// Notary's certificates live ten years.
const MOST_DAYS: u32 = 3650;

/// What a root certificate is to say.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// Name or canonical ID of the key.
    pub key: String,
    /// Where file keys may be.
    pub trust_dir: Option<std::path::PathBuf>,
    /// Becomes the common name.
    pub gun: String,
    /// Begin, in seconds since 1970.
    pub not_before: i64,
    /// Length of life.
    pub days: u32,
}

/// A certificate that was made.
#[derive(Debug, Clone)]
pub struct Certified {
    /// PEM with a newline at its end.
    pub pem: String,
    /// Where the grant stands in the log.
    pub record: u64,
    /// Where the key is.
    pub place: String,
}

impl Signing {
    /// Makes the self-signed certificate that Notary's root role lists for a collection.
    ///
    /// # Errors
    /// [`SignError`], by what the caller can do.
    ///
    /// # Cancellation
    /// Must run to its end, like [`Signing::sign`].
    pub async fn certify(
        &self,
        connection: Arc<Connection>,
        request: CertificateRequest,
    ) -> Result<Certified, SignError> {
        let refused = self.refusal_of(&connection, "certify", &request.gun, "root");
        let result = self.certificate(&connection, request).await;
        self.note(refused, &result);
        result
    }

    async fn certificate(
        &self,
        connection: &Arc<Connection>,
        request: CertificateRequest,
    ) -> Result<Certified, SignError> {
        let trust_dir = open_trust_dir(request.trust_dir.clone()).await?;
        let public = self.public_key(&request.key, trust_dir.as_ref(), connection).await?;
        let (gun, template) = template(&request, &public)?;
        let hand = self.hand_for(&public, trust_dir.as_ref(), connection).await?;
        self.must_be_attested(Role::Root.as_str(), std::slice::from_ref(&hand))?;
        let mut grant = self
            .ledger
            .state(StatementAsk {
                principal: connection.principal().clone(),
                statement: Statement::RootCertificate { gun },
                key: public.name(),
                scheme: hand.scheme,
                message: template.to_be_signed().into(),
            })
            .await?;
        let permit = grant.permits.pop().ok_or_else(|| SignError::Internal("a grant without a permit".to_owned()))?;
        let sig = self.use_permit(permit, &hand, trust_dir.as_ref(), connection).await?;
        let place = hand.place.to_string();
        let pem = template.assemble(&sig).map_err(|_| SignError::Unverified { place: place.clone() })?;
        Ok(Certified { pem, record: grant.seq.0, place })
    }

    /// The public half of a key that is at hand.
    pub(super) async fn public_key(
        &self,
        key: &str,
        trust_dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<PublicKey, SignError> {
        let listing = self.keystores.list(trust_dir, connection).await;
        let found = listing
            .keys
            .into_iter()
            .find(|info| info.is_called(key))
            .ok_or_else(|| KeystoreError::UnknownKey { key: key.to_owned() })?;
        if let Some(public) = found.public {
            return Ok(public);
        }
        // An encrypted file does not tell its public key.
        let (place, _) = found
            .places
            .into_iter()
            .find(|(_, state)| *state == PlaceState::Locked)
            .ok_or_else(|| KeystoreError::UnknownKey { key: key.to_owned() })?;
        Err(KeystoreError::Locked { key: found.key_id.to_string(), place, token: None, role: found.role }.into())
    }

    pub(super) async fn hand_for(
        &self,
        public: &PublicKey,
        trust_dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<Hand, SignError> {
        let (place, _) = self.choose(public, trust_dir, connection).await??;
        let (scheme, method) = how_to_certify(public);
        Ok(Hand { key_ids: vec![public.canonical_id()], public: public.clone(), method, scheme, place })
    }
}

/// X.509 knows RSA signatures by PKCS #1 v1.5; Notary's root certificates use them.
pub(super) fn how_to_certify(public: &PublicKey) -> (Scheme, Method) {
    match public.algorithm() {
        Algorithm::Rsa(_) => (Scheme::RsaPkcs1Sha256, Method::RsaPkcs1v15),
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 | Algorithm::Ed25519 => {
            (scheme(public), public.method())
        }
    }
}

fn template(request: &CertificateRequest, public: &PublicKey) -> Result<(Gun, Template), SignError> {
    let gun = Gun::parse(&request.gun).map_err(|error| SignError::BadRequest(format!("gun: {error}")))?;
    if request.days == 0 || request.days > MOST_DAYS {
        return Err(SignError::BadRequest(format!("days: {} is not in 1 to {MOST_DAYS}", request.days)));
    }
    let not_before = OffsetDateTime::from_unix_timestamp(request.not_before)
        .map_err(|error| SignError::BadRequest(format!("not_before: {error}")))?;
    let not_after = not_before
        .checked_add(Duration::days(request.days.into()))
        .ok_or_else(|| SignError::BadRequest("not_before: too late".to_owned()))?;
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| SignError::Internal("no random numbers".to_owned()))?;
    let subject = Subject::Collection(gun.clone());
    Ok((gun, Template { subject, key: public.clone(), not_before, not_after, serial }))
}
