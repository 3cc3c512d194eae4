//! What only YubiKeys do: they are set up, hold keys from elsewhere, tell what their keys are for, and attest.

use std::sync::Arc;

use signet_tuf::{Gun, PublicKey};

use super::board::label;
use super::file::open_pem;
use super::piv::{Attested, CardSetup, PivOptions, PivSlot, Yubikey};
use super::token::Fault;
use super::{Attestations, KeyInfo, KeystoreError, Keystores, LastTry, Place};
use crate::caller::Connection;
use crate::secret::Secret;

impl Keystores {
    /// Replaces PIN, PUK and management key. What was replaced is said, also if something then failed.
    ///
    /// # Errors
    /// Nothing was replaced: `FactorySecret`, `SecretMalformed`, `PinBlocked`, `PukBlocked`, `LastTry`, `Absent`.
    pub async fn set_up(
        &self,
        token: &str,
        setup: CardSetup,
    ) -> Result<(Vec<&'static str>, Result<(), KeystoreError>), KeystoreError> {
        let yubikey = self.yubikey(token).await?;
        let new = setup.new_pin.clone();
        let changed = yubikey.change(move |card| card.set_up(&setup)).await?;
        if changed.what.contains(&"pin") {
            yubikey.keystore.pin_replaced(Some(new));
        }
        let then = changed.then.map_err(|fault| {
            let why = yubikey.keystore.error(fault);
            if changed.what.is_empty() {
                return why;
            }
            KeystoreError::HalfDone { token: token.to_owned(), done: changed.what.join(", "), why: why.into() }
        });
        Ok((changed.what, then))
    }

    /// Replaces a PIN by means of the old one. Unlocks are over.
    ///
    /// # Errors
    /// `SecretIncorrect`, `SecretMalformed`, `FactorySecret`, `PinBlocked`, `LastTry`, `Absent`.
    pub async fn change_pin(
        &self,
        token: &str,
        old: Secret,
        new: Secret,
        last_try: LastTry,
    ) -> Result<(), KeystoreError> {
        let yubikey = self.yubikey(token).await?;
        let chosen = new.clone();
        yubikey.change(move |card| card.change_pin(&old, &new, last_try)).await?;
        yubikey.keystore.pin_replaced(Some(chosen));
        Ok(())
    }

    /// Replaces a PIN by means of the PUK. Unlocks are over.
    ///
    /// # Errors
    /// `SecretIncorrect`, `SecretMalformed`, `FactorySecret`, `PukBlocked`, `LastTry`, `Absent`.
    pub async fn unblock_pin(
        &self,
        token: &str,
        puk: Secret,
        new: Secret,
        last_try: LastTry,
    ) -> Result<(), KeystoreError> {
        let yubikey = self.yubikey(token).await?;
        let chosen = new.clone();
        yubikey.change(move |card| card.unblock_pin(&puk, &new, last_try)).await?;
        yubikey.keystore.pin_replaced(Some(chosen));
        Ok(())
    }

    /// Destroys every key and certificate of a YubiKey's PIV application.
    ///
    /// # Errors
    /// `Absent`, `Failed`.
    pub async fn reset(&self, token: &str) -> Result<(), KeystoreError> {
        let yubikey = self.yubikey(token).await?;
        yubikey.change(super::piv::Card::reset).await?;
        yubikey.keystore.pin_replaced(None);
        Ok(())
    }

    /// Stores a private key from elsewhere on a YubiKey.
    ///
    /// # Errors
    /// `NotAKey`, `Locked`, `SecretIncorrect`, `NotSupported`, `SlotOccupied`, `ManagementKey`, `Absent`.
    pub async fn import_on_token(
        &self,
        token: &str,
        (pem, passphrase): (Secret, Secret),
        (role, gun): (&str, Option<&Gun>),
        options: PivOptions,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        super::writable(role)?;
        let yubikey = self.yubikey(token).await?;
        yubikey.keystore.admit(connection).await?;
        let place = Place::Token { token: token.to_owned(), uri: format!("YubiKey {token}") };
        let (label, wanted) = (label(role, gun), role.to_owned());
        let opened = tokio::task::spawn_blocking(move || open_pem(&pem, &passphrase, place, &wanted)).await;
        let key = opened.map_err(|_| KeystoreError::Busy)??;
        let stored = yubikey.change(move |card| card.import(&key, &label, options)).await?;
        Ok(yubikey.keystore.describe(&stored))
    }

    /// Writes the certificate of a YubiKey's slot.
    ///
    /// # Errors
    /// `ManagementKey`, `Locked`, `Absent`, `UnknownToken`, `Failed`.
    pub async fn write_certificate(
        &self,
        token: &str,
        slot: PivSlot,
        der: Vec<u8>,
        management_key: Option<Secret>,
    ) -> Result<(), KeystoreError> {
        self.yubikey(token).await?.change(move |card| card.write_certificate(slot, der, management_key.as_ref())).await
    }

    /// What a YubiKey states now about a slot's key, leaf first, and what that says.
    ///
    /// # Errors
    /// `NotSupported` for a key that was not made there, `Absent`, `Failed`.
    pub async fn attest(
        &self,
        token: &str,
        slot: PivSlot,
        key: &PublicKey,
    ) -> Result<(Vec<Vec<u8>>, Attested), KeystoreError> {
        let yubikey = self.yubikey(token).await?;
        let chain = yubikey.change(move |card| card.attest(slot)).await?;
        let attested = self.attestations().check(key, &chain);
        let attested = attested.map_err(|why| yubikey.keystore.error(Fault::Corrupt(why)))?;
        Ok((chain, attested))
    }

    /// Keeps what a YubiKey states about a key that was just made on it.
    ///
    /// # Errors
    /// As [`Self::attest`], and if it cannot be written.
    pub async fn keep_attestation(
        &self,
        token: &str,
        slot: PivSlot,
        key: &PublicKey,
    ) -> Result<Attested, KeystoreError> {
        let (chain, _) = self.attest(token, slot, key).await?;
        let yubikey = self.yubikey(token).await?;
        self.attestations().keep(key, &chain).map_err(|why| yubikey.keystore.error(Fault::Corrupt(why)))
    }

    /// What tokens stated about their keys.
    #[must_use]
    pub fn attestations(&self) -> &Attestations {
        &self.shared.attestations
    }

    async fn yubikey(&self, name: &str) -> Result<Yubikey, KeystoreError> {
        let yubikeys = self.yubikeys().await;
        if let Some(found) = yubikeys.iter().find(|yubikey| yubikey.keystore.name() == name) {
            return Ok(found.clone());
        }
        // It may be a token of another kind, or none.
        let token = self.token(name).await?;
        Err(token.error(Fault::Unsupported("this: only a YubiKey does".to_owned())))
    }
}
