//! New keys on tokens, and the certificates by which others know what a YubiKey's keys are for.

use std::sync::Arc;

use signet_tuf::{
    Gun, PublicKey,
    certificate::{Subject, Template},
};
use time::Duration;

use super::{Hand, SignError, Signing, certify::how_to_certify};
use crate::{
    caller::Connection,
    keystore::{KeyInfo, PivSlot, Place},
    ledger::{Statement, StatementAsk},
    secret::Secret,
};

/// How long a slot's certificate lives. Nobody looks at its end; it says no more than what the key is for.
const DAYS: i64 = 3650;

/// What a slot's certificate is to tell.
#[derive(Debug, Clone)]
pub struct SlotLabel {
    /// What the key is for.
    pub role: String,
    /// Its collection, if it is for one only.
    pub gun: Option<Gun>,
    /// Wanted unless the card keeps it behind its PIN.
    pub management_key: Option<Secret>,
}

impl Signing {
    /// Keeps what a YubiKey states about a key that was just made on it; a failure is a sentence for the person who waits.
    pub async fn keep_attestation(&self, info: &KeyInfo) -> Option<String> {
        let (token, slot) = info.places.first()?.0.slot()?;
        let kept = self.keystores.keep_attestation(&token, slot, info.public.as_ref()?).await;
        kept.err().map(|error| format!("the key is not attested: {error}"))
    }

    /// Writes into a YubiKey's slot what its new key is for. The key is there and stays, whatever happens to this: a
    /// failure is a sentence for the person who waits.
    pub async fn label_slot(
        &self,
        info: KeyInfo,
        wanted: &SlotLabel,
        connection: &Arc<Connection>,
    ) -> (KeyInfo, Option<String>) {
        let Some((place, _)) = info.places.first().cloned() else { return (info, None) };
        let Some((token, slot)) = place.slot() else { return (info, None) };
        let Some(public) = info.public.clone() else { return (info, None) };
        let certified = self.certify_slot(&place, public, wanted, connection).await;
        let written = match certified {
            Ok(der) => self.write_certificate(&token, slot, der, wanted).await,
            Err(error) => Err(error),
        };
        let notice = written.err().map(|error| {
            format!(
                "the key is in slot {slot}, but without a certificate, and so nothing there tells its role \
                 ({error}); make it again with --overwrite, or write one with another tool: CN={}",
                wanted.role
            )
        });
        (info, notice)
    }

    async fn certify_slot(
        &self,
        place: &Place,
        public: PublicKey,
        wanted: &SlotLabel,
        connection: &Arc<Connection>,
    ) -> Result<Vec<u8>, SignError> {
        let not_before = self.clock.now();
        let mut serial = [0; 16];
        aws_lc_rs::rand::fill(&mut serial).map_err(|_| SignError::Internal("no random numbers".to_owned()))?;
        let template = Template {
            subject: Subject::Role(wanted.role.clone(), wanted.gun.clone()),
            not_before,
            not_after: not_before.saturating_add(Duration::days(DAYS)),
            serial,
            key: public.clone(),
        };
        let (scheme, method) = how_to_certify(&public);
        let statement =
            Statement::SlotCertificate { role: wanted.role.clone(), gun: wanted.gun.clone(), place: place.to_string() };
        let ask = StatementAsk {
            principal: connection.principal().clone(),
            statement,
            key: public.name(),
            scheme,
            message: template.to_be_signed().into(),
        };
        let mut grant = self.ledger.state(ask).await?;
        let permit = grant.permits.pop().ok_or_else(|| SignError::Internal("a grant without a permit".to_owned()))?;
        let hand = Hand { key_ids: vec![public.canonical_id()], public, method, scheme, place: place.clone() };
        let sig = self.use_permit(permit, &hand, None, connection).await?;
        template.assemble_der(&sig).map_err(|_| SignError::Unverified { place: place.to_string() })
    }

    async fn write_certificate(
        &self,
        token: &str,
        slot: PivSlot,
        der: Vec<u8>,
        wanted: &SlotLabel,
    ) -> Result<(), SignError> {
        Ok(self.keystores.write_certificate(token, slot, der, wanted.management_key.clone()).await?)
    }
}
