//! Requests for root certificates: built here from typed fields, so that the key never leaves its token and a certificate
//! authority still vouches for it.

use std::{path::PathBuf, sync::Arc};

use signet_tuf::{Gun, Role, certificate_request::Template};

use super::{Certified, SignError, Signing, open_trust_dir};
use crate::{
    caller::Connection,
    ledger::{Statement, StatementAsk},
};

/// Whose certificate is to be asked for.
#[derive(Debug, Clone)]
pub struct WantedRequest {
    /// Name or canonical ID of the key.
    pub key: String,
    /// Where file keys may be.
    pub trust_dir: Option<PathBuf>,
    /// Becomes the common name.
    pub gun: String,
}

impl Signing {
    /// Makes a PKCS #10 request for the certificate of a collection's root key.
    ///
    /// # Errors
    /// [`SignError`], by what the caller can do.
    ///
    /// # Cancellation
    /// Must run to its end, like [`Signing::sign`].
    pub async fn request_certificate(
        &self,
        connection: Arc<Connection>,
        wanted: WantedRequest,
    ) -> Result<Certified, SignError> {
        let refused = self.refusal_of(&connection, "request", &wanted.gun, "root");
        let result = self.requested(&connection, wanted).await;
        self.note(refused, &result);
        result
    }

    async fn requested(&self, connection: &Arc<Connection>, wanted: WantedRequest) -> Result<Certified, SignError> {
        let gun = Gun::parse(&wanted.gun).map_err(|error| SignError::BadRequest(format!("gun: {error}")))?;
        let trust_dir = open_trust_dir(wanted.trust_dir).await?;
        let public = self.public_key(&wanted.key, trust_dir.as_ref(), connection).await?;
        let hand = self.hand_for(&public, trust_dir.as_ref(), connection).await?;
        self.must_be_attested(Role::Root.as_str(), std::slice::from_ref(&hand))?;
        let template = Template { gun: gun.clone(), key: public };
        let ask = StatementAsk {
            principal: connection.principal().clone(),
            statement: Statement::CertificateRequest { gun },
            key: template.key.name(),
            scheme: hand.scheme,
            message: template.to_be_signed().into(),
        };
        let mut grant = self.ledger.state(ask).await?;
        let permit = grant.permits.pop().ok_or_else(|| SignError::Internal("a grant without a permit".to_owned()))?;
        let sig = self.use_permit(permit, &hand, trust_dir.as_ref(), connection).await?;
        let place = hand.place.to_string();
        let pem = template.assemble(&sig).map_err(|_| SignError::Unverified { place: place.clone() })?;
        Ok(Certified { pem, record: grant.seq.0, place })
    }
}
