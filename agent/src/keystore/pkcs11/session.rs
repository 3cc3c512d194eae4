//! A session with a PKCS#11 token.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{KeyType, ObjectHandle};
use cryptoki::session::{Session as RawSession, SessionState, UserType};
use cryptoki::types::RawAuthPin;
use signet_tuf::KeyName;

use super::fault::fault;
use super::module::{Generation, Module, Running, stale};
use super::objects;
use crate::keystore::Reached;
use crate::keystore::token::{Fault, KeyObject, LoginState, NewKey, Session};
use crate::ledger::{Purpose, Scheme};
use crate::secret::Secret;

/// A session, void once its module was started anew. Object handles are remembered as long as it lives.
pub(in crate::keystore) struct Pkcs11Session {
    module: Arc<Module>,
    generation: Generation,
    raw: Option<RawSession>,
    mechanisms: Vec<MechanismType>,
    handles: HashMap<KeyName, (ObjectHandle, KeyType)>,
}

impl Pkcs11Session {
    pub(super) fn new(
        module: Arc<Module>,
        generation: Generation,
        raw: RawSession,
        mechanisms: Vec<MechanismType>,
    ) -> Self {
        Self { module, generation, raw: Some(raw), mechanisms, handles: HashMap::new() }
    }

    /// Calls into the module while nobody can start it anew.
    fn call<T>(&self, call: impl FnOnce(&RawSession) -> Result<T, Fault>) -> Result<T, Fault> {
        let _running = self.living()?;
        call(self.raw.as_ref().ok_or_else(stale)?)
    }

    /// The same while no other thread calls the module.
    fn call_alone<T>(&self, call: impl FnOnce(&RawSession) -> Result<T, Fault>) -> Result<T, Fault> {
        let alone = self.module.alone();
        if alone.generation() != Some(self.generation) {
            return Err(stale());
        }
        call(self.raw.as_ref().ok_or_else(stale)?)
    }

    fn living(&self) -> Result<Running<'_>, Fault> {
        let running = self.module.now();
        if running.generation() == Some(self.generation) { Ok(running) } else { Err(stale()) }
    }

    fn mechanism(&self, scheme: Scheme) -> Result<(Mechanism<'static>, Input), Fault> {
        let has = |mechanism: MechanismType| self.mechanisms.contains(&mechanism);
        let pss = PkcsPssParams { hash_alg: MechanismType::SHA256, mgf: PkcsMgfType::MGF1_SHA256, s_len: 32.into() };
        match scheme {
            Scheme::EcdsaSha256 if has(MechanismType::ECDSA) => Ok((Mechanism::Ecdsa, Input::Digest)),
            // Metadata may be tens of megabytes: hash here where the token lets us.
            Scheme::RsaPssSha256 if has(MechanismType::RSA_PKCS_PSS) => Ok((Mechanism::RsaPkcsPss(pss), Input::Digest)),
            Scheme::RsaPssSha256 if has(MechanismType::SHA256_RSA_PKCS_PSS) => {
                Ok((Mechanism::Sha256RsaPkcsPss(pss), Input::Message))
            }
            Scheme::RsaPkcs1Sha256 if has(MechanismType::SHA256_RSA_PKCS) => {
                Ok((Mechanism::Sha256RsaPkcs, Input::Message))
            }
            Scheme::Ed25519 if has(MechanismType::EDDSA) => {
                Ok((Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), Input::Message))
            }
            Scheme::EcdsaSha256 | Scheme::RsaPssSha256 | Scheme::RsaPkcs1Sha256 | Scheme::Ed25519 => {
                Err(Fault::Unsupported(format!("the scheme {scheme:?}")))
            }
        }
    }

    fn private_key(&mut self, key: KeyName) -> Result<(ObjectHandle, KeyType), Fault> {
        if let Some(found) = self.handles.get(&key) {
            return Ok(*found);
        }
        let found = self.call(|raw| objects::private_key(raw, key))?;
        self.handles.insert(key, found);
        Ok(found)
    }
}

fn key_type_of(scheme: Scheme) -> KeyType {
    match scheme {
        Scheme::EcdsaSha256 => KeyType::EC,
        Scheme::RsaPssSha256 | Scheme::RsaPkcs1Sha256 => KeyType::RSA,
        Scheme::Ed25519 => KeyType::EC_EDWARDS,
    }
}

/// What C_Sign is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Digest,
    Message,
}

impl Session for Pkcs11Session {
    fn login_state(&mut self) -> Result<LoginState, Fault> {
        let info = self.call(|raw| raw.get_session_info().map_err(fault))?;
        Ok(match info.session_state() {
            SessionState::RoUser | SessionState::RwUser => LoginState::LoggedIn,
            SessionState::RoPublic | SessionState::RwPublic | SessionState::RwSecurityOfficer => LoginState::LoggedOut,
        })
    }

    fn login(&mut self, pin: &Secret) -> Result<(), Fault> {
        let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        self.call(|raw| raw.login_with_raw(UserType::User, &pin).map_err(fault))
    }

    fn logout(&mut self) -> Result<(), Fault> {
        self.handles.clear();
        self.call(|raw| raw.logout().map_err(fault))
    }

    fn find_keys(&mut self) -> Result<Vec<KeyObject>, Fault> {
        self.call(objects::keys)
    }

    fn sign(&mut self, key: KeyName, scheme: Scheme, message: &[u8], _: &Purpose) -> Result<Vec<u8>, Fault> {
        let (mechanism, input) = self.mechanism(scheme)?;
        let (handle, key_type) = self.private_key(key)?;
        // Not left to the module: SoftHSM 2.6 crashes in C_SignInit when an EC key meets an RSA mechanism.
        if key_type != key_type_of(scheme) {
            return Err(Fault::Unsupported(format!("the scheme {scheme:?} with a key of type {key_type}")));
        }
        self.call(|raw| {
            let signed = match input {
                Input::Digest => raw.sign(&mechanism, handle, digest(&SHA256, message).as_ref()),
                Input::Message => raw.sign(&mechanism, handle, message),
            };
            signed.map_err(fault)
        })
    }

    fn generate_key_pair(&mut self, wanted: &NewKey) -> Result<KeyObject, Fault> {
        if wanted.piv.is_some() {
            return Err(Fault::Unsupported("PIV slots and policies: it is a PKCS#11 token".to_owned()));
        }
        let mechanisms = &self.mechanisms;
        self.call_alone(|raw| objects::generate(raw, mechanisms, wanted.algorithm, &wanted.label))
    }
}

impl Drop for Pkcs11Session {
    fn drop(&mut self) {
        let raw = self.raw.take();
        let Ok(_running) = self.living() else { return };
        if let Some(Err(error)) = raw.map(RawSession::close) {
            tracing::debug!(%error, "a PKCS#11 session did not close");
        }
    }
}

/// An answer that no module may give.
pub(super) fn nonsense(what: &str) -> Fault {
    Fault::Refused { what: what.to_owned(), reached: Reached::Nothing }
}
