//! What a YubiKey states about a key that was made on it: a chain of certificates, from the key to whoever made the card.
//!
//! The leaf's extensions are Yubico's: 3.3 firmware, 3.7 serial number, 3.8 policies.

use aws_lc_rs::signature as aws;
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use signet_tuf::PublicKey;
use x509_cert::Certificate;
use x509_cert::ext::pkix::BasicConstraints;
use yubikey::piv::{SlotId, attest};

use super::card::Card;
use super::fault::fault;
use super::keys::policies;
use super::{PinPolicy, PivSlot, TouchPolicy};
use crate::keystore::token::Fault;

const FIRMWARE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.3");
const SERIAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.7");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// What the leaf of a chain states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The card.
    pub serial: Option<u32>,
    /// Its firmware when the statement was made.
    pub firmware: Option<String>,
    /// When the key wants the PIN.
    pub pin: Option<PinPolicy>,
    /// When the key wants to be touched.
    pub touch: Option<TouchPolicy>,
    /// The subject of the anchor that the chain ends at, or why it does not end at one.
    pub anchor: Result<String, String>,
}

impl Card {
    /// Reads the statement about a slot's key, leaf first.
    pub(in crate::keystore) fn attest(&self, slot: PivSlot) -> Result<Vec<Vec<u8>>, Fault> {
        self.visit(|yubikey| {
            let leaf = attest(yubikey, slot.id().map_err(fault)?).map_err(|error| {
                let broke = matches!(error, yubikey::Error::PcscError { .. });
                let what = || Fault::Unsupported("attestation of a key that was not made on it".to_owned());
                if broke { fault(error) } else { what() }
            })?;
            let issuer = yubikey::Certificate::read(yubikey, SlotId::Attestation).map_err(fault)?;
            let issuer = issuer.cert.to_der().map_err(|_| Fault::Corrupt("its attestation certificate".to_owned()))?;
            Ok(vec![leaf.to_vec(), issuer])
        })
    }
}

/// Reads a chain and follows it to an anchor. Nobody asks whether certificates are still valid: where a key was made does
/// not change.
///
/// # Errors
/// If the leaf is not about this key.
pub(in crate::keystore) fn read(chain: &[Vec<u8>], anchors: &[Vec<u8>], key: &PublicKey) -> Result<Attested, String> {
    let parse =
        |der: &Vec<u8>| Certificate::from_der(der).map_err(|error| format!("a certificate is malformed: {error}"));
    let chain = chain.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let leaf = chain.first().ok_or("the chain is empty")?;
    let spki = leaf.tbs_certificate().subject_public_key_info().to_der().map_err(|error| error.to_string())?;
    if PublicKey::from_spki(&spki).map(|stated| stated.name()) != Ok(key.name()) {
        return Err("it is about another key".to_owned());
    }
    let extension = |oid| {
        let all = leaf.tbs_certificate().extensions()?;
        all.iter().find(|extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes())
    };
    let firmware = extension(FIRMWARE).and_then(|bytes| match bytes {
        [major, minor, patch] => Some(format!("{major}.{minor}.{patch}")),
        _ => None,
    });
    // An INTEGER, which is not always written as short as DER wants it.
    let serial = extension(SERIAL).and_then(|bytes| match bytes {
        [0x02, length, number @ ..] if usize::from(*length) == number.len() && number.len() <= 5 => {
            let sum = number.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            u32::try_from(sum).ok()
        }
        _ => None,
    });
    let (pin, touch) = policies(leaf);
    let anchors = anchors.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(Attested { serial, firmware, pin, touch, anchor: follow(&chain, &anchors) })
}

/// The subject of the anchor that the chain ends at.
fn follow(chain: &[Certificate], anchors: &[Certificate]) -> Result<String, String> {
    if anchors.is_empty() {
        return Err("no anchors are configured: `anchors` under [attestation] in agent.toml".to_owned());
    }
    for (position, certificate) in chain.iter().enumerate() {
        let issuer = certificate.tbs_certificate().issuer();
        let mut candidates = anchors.iter().filter(|anchor| anchor.tbs_certificate().subject() == issuer);
        if let Some(anchor) = candidates.find(|anchor| has_signed(anchor, certificate)) {
            return Ok(anchor.tbs_certificate().subject().to_string());
        }
        let next = position.checked_add(1).and_then(|next| chain.get(next));
        if !next.is_some_and(|next| next.tbs_certificate().subject() == issuer && has_signed(next, certificate)) {
            return Err(format!("no anchor has signed for {issuer}"));
        }
    }
    Err("it ends at no anchor".to_owned())
}

/// Whether `issuer` may sign certificates, and has signed this one.
fn has_signed(issuer: &Certificate, certificate: &Certificate) -> bool {
    let constraints = issuer.tbs_certificate().get_extension::<BasicConstraints>();
    if !matches!(constraints, Ok(Some((_, constraints))) if constraints.ca) {
        return false;
    }
    let info = issuer.tbs_certificate().subject_public_key_info();
    let curve =
        info.algorithm.parameters.as_ref().and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
    let algorithm: &dyn aws::VerificationAlgorithm = match (certificate.signature_algorithm().oid, curve) {
        (RSA_SHA256, _) => &aws::RSA_PKCS1_2048_8192_SHA256,
        (RSA_SHA384, _) => &aws::RSA_PKCS1_2048_8192_SHA384,
        (RSA_SHA512, _) => &aws::RSA_PKCS1_2048_8192_SHA512,
        (ECDSA_SHA256, Some(P256)) => &aws::ECDSA_P256_SHA256_ASN1,
        (ECDSA_SHA384, Some(P256)) => &aws::ECDSA_P256_SHA384_ASN1,
        (ECDSA_SHA256, Some(P384)) => &aws::ECDSA_P384_SHA256_ASN1,
        (ECDSA_SHA384, Some(P384)) => &aws::ECDSA_P384_SHA384_ASN1,
        _ => return false,
    };
    let (Ok(spki), Ok(body)) = (info.to_der(), certificate.tbs_certificate().to_der()) else { return false };
    let Some(signature) = certificate.signature().as_bytes() else { return false };
    aws::UnparsedPublicKey::new(algorithm, spki).verify(&body, signature).is_ok()
}
