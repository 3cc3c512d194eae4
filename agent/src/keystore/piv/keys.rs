//! The keys of a card: found slot by slot, known by their public keys.

use der::Encode;
use der::asn1::ObjectIdentifier;
use signet_tuf::PublicKey;
use yubikey::piv::{AlgorithmId, SlotAlgorithmId, attest, metadata};
use yubikey::{Certificate, YubiKey};

use super::facts::tells_metadata;
use super::fault::fault;
use super::slot::{Origin, PivSlot, SlotFacts};
use super::{PinPolicy, TouchPolicy};
use crate::keystore::token::{Fault, KeyObject};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// Yubico's extension of attestation certificates: PIN policy, touch policy.
const POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.8");

/// Every key that can be seen.
pub(super) fn all(yubikey: &mut YubiKey) -> Result<Vec<KeyObject>, Fault> {
    let mut keys = Vec::new();
    for slot in PivSlot::all() {
        keys.extend(in_slot(yubikey, slot)?);
    }
    Ok(keys)
}

/// The key in one slot, if one can be seen.
pub(super) fn in_slot(yubikey: &mut YubiKey, slot: PivSlot) -> Result<Option<KeyObject>, Fault> {
    let Some(Found { public, pin, touch, origin }) = found(yubikey, slot)? else { return Ok(None) };
    let certificate = certificate(yubikey, slot)?.filter(|certificate| certificate.public == public);
    let (label, subject) = match certificate {
        Some(Labelled { label, subject, .. }) => (label, Some(subject)),
        None => (String::new(), None),
    };
    let facts = SlotFacts { slot, pin, touch, origin, certificate: subject };
    Ok(Some(KeyObject { id: vec![slot.byte()], label, public, slot: Some(facts) }))
}

/// Whether a key could be made in a slot without destroying another; `None` if the card does not tell.
pub(super) fn is_free(yubikey: &mut YubiKey, slot: PivSlot) -> Result<Option<bool>, Fault> {
    let id = slot.id().map_err(fault)?;
    if tells_metadata(yubikey) {
        return match metadata(yubikey, id) {
            Ok(_) => Ok(Some(false)),
            Err(yubikey::Error::NotFound) => Ok(Some(true)),
            Err(error) => Err(fault(error)),
        };
    }
    Ok(if in_slot(yubikey, slot)?.is_some() { Some(false) } else { None })
}

struct Found {
    public: PublicKey,
    pin: Option<PinPolicy>,
    touch: Option<TouchPolicy>,
    origin: Option<Origin>,
}

fn found(yubikey: &mut YubiKey, slot: PivSlot) -> Result<Option<Found>, Fault> {
    let id = slot.id().map_err(fault)?;
    if tells_metadata(yubikey) {
        let told = match metadata(yubikey, id) {
            Ok(told) => told,
            Err(error @ yubikey::Error::PcscError { .. }) => return Err(fault(error)),
            // None is there, or one of a kind that is not known here.
            Err(_) => return Ok(None),
        };
        let public = told.public.and_then(|spki| spki.to_der().ok()).and_then(|der| PublicKey::from_spki(&der).ok());
        let (pin, touch) = told.policy.unzip();
        let signs = told.algorithm != SlotAlgorithmId::Asymmetric(AlgorithmId::X25519);
        return Ok(public.filter(|_| signs).map(|public| Found {
            public,
            pin: pin.map(Into::into),
            touch: touch.map(Into::into),
            origin: told.origin.map(Into::into),
        }));
    }
    // Only what was made on the card is attested; what was imported shows itself by its certificate.
    let statement = match attest(yubikey, id) {
        Ok(der) => Some(der),
        Err(error @ yubikey::Error::PcscError { .. }) => return Err(fault(error)),
        Err(_) => None,
    };
    if let Some(statement) = statement.and_then(|der| Certificate::from_bytes(der).ok()) {
        let (pin, touch) = policies(&statement.cert);
        return Ok(public_of(&statement.cert).map(|public| Found {
            public,
            pin,
            touch,
            origin: Some(Origin::Generated),
        }));
    }
    let certificate = certificate(yubikey, slot)?;
    Ok(certificate.map(|Labelled { public, .. }| Found { public, pin: None, touch: None, origin: None }))
}

struct Labelled {
    public: PublicKey,
    /// The role and, if the key belongs to one, the collection.
    label: String,
    subject: String,
}

fn certificate(yubikey: &mut YubiKey, slot: PivSlot) -> Result<Option<Labelled>, Fault> {
    let id = slot.id().map_err(fault)?;
    let certificate = match Certificate::read(yubikey, id) {
        Ok(certificate) => certificate.cert,
        Err(error @ yubikey::Error::PcscError { .. }) => return Err(fault(error)),
        // None is there, or none that is one.
        Err(_) => return Ok(None),
    };
    let subject = certificate.tbs_certificate().subject();
    let text = |oid| {
        let named = subject.iter().filter(|attribute| attribute.oid == oid).last();
        named.map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned())
    };
    let label = match (text(COMMON_NAME), text(ORGANIZATION)) {
        (Some(role), Some(gun)) => format!("{role} {gun}"),
        (Some(role), None) => role,
        (None, _) => String::new(),
    };
    let subject = subject.to_string();
    Ok(public_of(&certificate).map(|public| Labelled { public, label, subject }))
}

fn public_of(certificate: &x509_cert::Certificate) -> Option<PublicKey> {
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().ok()?;
    PublicKey::from_spki(&spki).ok()
}

/// What an attestation says of the key's policies.
pub(super) fn policies(statement: &x509_cert::Certificate) -> (Option<PinPolicy>, Option<TouchPolicy>) {
    let extensions = statement.tbs_certificate().extensions();
    let stated = extensions.and_then(|all| all.iter().find(|extension| extension.extn_id == POLICIES));
    let Some([pin, touch]) = stated.map(|extension| extension.extn_value.as_bytes()) else { return (None, None) };
    let pin = yubikey::PinPolicy::try_from(*pin).ok();
    let touch = yubikey::TouchPolicy::try_from(*touch).ok();
    (pin.map(Into::into), touch.map(Into::into))
}
