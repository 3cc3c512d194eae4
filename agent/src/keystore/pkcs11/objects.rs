//! Keys as objects of a token: how they are recognised, and how they are made.

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, CertificateType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session as RawSession;
use der::asn1::OctetStringRef;
use der::oid::ObjectIdentifier;
use der::{Decode, Encode};
use signet_tuf::{Algorithm, KeyName, PublicKey};

use super::fault::fault;
use super::session::nonsense;
use crate::keystore::file::{ec_public, ed25519_public, rsa_public};
use crate::keystore::token::{Fault, KeyObject};

const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// PKCS#11 v3.1 §6.3.8: the other way to name the curve, as a PrintableString.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";
/// 65537.
const EXPONENT: &[u8] = &[1, 0, 1];

/// What a private key object is recognised by.
struct Private {
    handle: ObjectHandle,
    key_type: KeyType,
    id: Vec<u8>,
    /// Unless it says that it does not: libykcs11 shows the key that attests others, which signs nothing else.
    signs: bool,
}

/// Every key pair that is seen: by its public key, else by a certificate. While private keys are seen, only those with one
/// that signs.
pub(super) fn keys(session: &RawSession) -> Result<Vec<KeyObject>, Fault> {
    let private = private_keys(session)?;
    let mut keys: Vec<KeyObject> = Vec::new();
    for candidate in public_keys(session)?.into_iter().chain(certified_keys(session)?) {
        let has_private =
            private.is_empty() || private.iter().any(|private| private.signs && private.id == candidate.id);
        if has_private && !keys.iter().any(|key| key.public.name() == candidate.public.name()) {
            keys.push(candidate);
        }
    }
    Ok(keys)
}

/// The private key that belongs to the public key of this name: they share CKA_ID.
pub(super) fn private_key(session: &RawSession, key: KeyName) -> Result<(ObjectHandle, KeyType), Fault> {
    let private = private_keys(session)?;
    let find = |id: &[u8]| {
        let found = private.iter().find(|private| private.id == id);
        found.map(|private| (private.handle, private.key_type))
    };
    // Keys that we made carry their name as CKA_ID.
    if let Some(found) = find(key.as_bytes()) {
        return Ok(found);
    }
    let known = keys(session)?.into_iter().find(|known| known.public.name() == key);
    known.and_then(|known| find(&known.id)).ok_or(Fault::NoKey)
}

fn private_keys(session: &RawSession) -> Result<Vec<Private>, Fault> {
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
    let mut found = Vec::new();
    for handle in session.find_objects(&template).map_err(fault)? {
        let object = Object::read(session, handle, &[AttributeType::Id, AttributeType::KeyType, AttributeType::Sign])?;
        if let Some(key_type) = object.key_type {
            found.push(Private { handle, key_type, id: object.id, signs: object.sign != Some(false) });
        }
    }
    Ok(found)
}

fn public_keys(session: &RawSession) -> Result<Vec<KeyObject>, Fault> {
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Token(true)];
    let mut found = Vec::new();
    for handle in session.find_objects(&template).map_err(fault)? {
        found.extend(public_key(session, handle)?);
    }
    Ok(found)
}

fn public_key(session: &RawSession, handle: ObjectHandle) -> Result<Option<KeyObject>, Fault> {
    let wanted = [
        AttributeType::Id,
        AttributeType::Label,
        AttributeType::KeyType,
        AttributeType::EcParams,
        AttributeType::EcPoint,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
    ];
    let object = Object::read(session, handle, &wanted)?;
    let public = match object.key_type {
        Some(KeyType::EC) => ec_key(&object.ec_params, &object.ec_point),
        Some(KeyType::EC_EDWARDS) => edwards_key(&object.ec_params, &object.ec_point),
        Some(KeyType::RSA) => rsa_public(&object.modulus, &object.exponent),
        // AES keys and what else is on the token.
        Some(_) | None => None,
    };
    Ok(public.map(|public| KeyObject { id: object.id, label: object.label, public, slot: None }))
}

fn certified_keys(session: &RawSession) -> Result<Vec<KeyObject>, Fault> {
    let template = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
    ];
    let mut found = Vec::new();
    for handle in session.find_objects(&template).map_err(fault)? {
        let object = Object::read(session, handle, &[AttributeType::Id, AttributeType::Label, AttributeType::Value])?;
        let certificate =
            signet_tuf::Certificate::from_der(&object.value).ok().filter(|certificate| !certificate.is_ca());
        let public = certificate.and_then(|certificate| PublicKey::from_spki(certificate.spki()).ok());
        found.extend(public.map(|public| KeyObject { id: object.id, label: object.label, public, slot: None }));
    }
    Ok(found)
}

/// Attributes of an object, empty where it has none.
#[derive(Default)]
struct Object {
    id: Vec<u8>,
    label: String,
    key_type: Option<KeyType>,
    sign: Option<bool>,
    ec_params: Vec<u8>,
    ec_point: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    value: Vec<u8>,
}

impl Object {
    fn read(session: &RawSession, handle: ObjectHandle, wanted: &[AttributeType]) -> Result<Self, Fault> {
        let mut object = Self::default();
        for attribute in session.get_attributes(handle, wanted).map_err(fault)? {
            #[expect(clippy::wildcard_enum_match_arm, reason = "PKCS#11 has 100 attributes; these were asked for")]
            match attribute {
                Attribute::Id(id) => object.id = id,
                Attribute::Label(label) => object.label = String::from_utf8_lossy(&label).into_owned(),
                Attribute::KeyType(key_type) => object.key_type = Some(key_type),
                Attribute::Sign(sign) => object.sign = Some(sign),
                Attribute::EcParams(bytes) => object.ec_params = bytes,
                Attribute::EcPoint(bytes) => object.ec_point = bytes,
                Attribute::Modulus(bytes) => object.modulus = bytes,
                Attribute::PublicExponent(bytes) => object.exponent = bytes,
                Attribute::Value(bytes) => object.value = bytes,
                _ => {}
            }
        }
        Ok(object)
    }
}

/// CKA_EC_POINT is a DER OCTET STRING (PKCS#11 v3.1 §6.3.3); some modules give the point itself.
fn ec_key(params: &[u8], point: &[u8]) -> Option<PublicKey> {
    let curve = ObjectIdentifier::from_der(params).ok()?;
    unwrapped(point).and_then(|inner| ec_public(curve, inner)).or_else(|| ec_public(curve, point))
}

fn edwards_key(params: &[u8], point: &[u8]) -> Option<PublicKey> {
    if params != EDWARDS25519 && ObjectIdentifier::from_der(params) != Ok(ED25519) {
        return None;
    }
    unwrapped(point).and_then(ed25519_public).or_else(|| ed25519_public(point))
}

fn unwrapped(point: &[u8]) -> Option<&[u8]> {
    <&OctetStringRef>::from_der(point).ok().map(OctetStringRef::as_bytes)
}

/// C_GenerateKeyPair, and CKA_ID set to the key's name.
pub(super) fn generate(
    session: &RawSession,
    mechanisms: &[MechanismType],
    algorithm: Algorithm,
    label: &str,
) -> Result<KeyObject, Fault> {
    let (mechanism, kind, parameters) = recipe(algorithm)?;
    if !mechanisms.contains(&kind) {
        return Err(Fault::Unsupported(algorithm.to_string()));
    }
    let label = || Attribute::Label(label.as_bytes().to_vec());
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        label(),
    ];
    let mut made = Err(Fault::Unsupported(algorithm.to_string()));
    for parameters in parameters {
        let mut public = vec![Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true), label()];
        public.extend(parameters);
        made = session.generate_key_pair(&mechanism, &public, &private).map_err(fault);
        if made.is_ok() {
            break;
        }
    }
    let (public, private) = made?;
    let named = name(session, public, private);
    if named.is_err() {
        // A key without its name would never be found again.
        for object in [public, private] {
            if let Err(error) = session.destroy_object(object) {
                tracing::warn!(%error, "a key that could not be named stays on the token");
            }
        }
    }
    named
}

fn name(session: &RawSession, public: ObjectHandle, private: ObjectHandle) -> Result<KeyObject, Fault> {
    let mut object = public_key(session, public)?.ok_or_else(|| nonsense("the new public key cannot be read back"))?;
    // CKA_ID is the SHA-256 of the SPKI.
    object.id = digest(&SHA256, object.public.spki()).as_ref().to_vec();
    for handle in [public, private] {
        session.update_attributes(handle, &[Attribute::Id(object.id.clone())]).map_err(fault)?;
    }
    Ok(object)
}

type Recipe = (Mechanism<'static>, MechanismType, Vec<Vec<Attribute>>);

/// The mechanism, and the templates to try one after another.
fn recipe(algorithm: Algorithm) -> Result<Recipe, Fault> {
    let curve = |oid: ObjectIdentifier| {
        oid.to_der().map(Attribute::EcParams).map_err(|_| nonsense("a curve cannot be encoded"))
    };
    let unsupported = || Fault::Unsupported(algorithm.to_string());
    Ok(match algorithm {
        Algorithm::EcdsaP256 => (Mechanism::EccKeyPairGen, MechanismType::ECC_KEY_PAIR_GEN, vec![vec![curve(P256)?]]),
        Algorithm::EcdsaP384 => (Mechanism::EccKeyPairGen, MechanismType::ECC_KEY_PAIR_GEN, vec![vec![curve(P384)?]]),
        Algorithm::EcdsaP521 => return Err(unsupported()),
        Algorithm::Ed25519 => (
            Mechanism::EccEdwardsKeyPairGen,
            MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
            vec![vec![curve(ED25519)?], vec![Attribute::EcParams(EDWARDS25519.to_vec())]],
        ),
        Algorithm::Rsa(bits @ 2048..=4096) => {
            let size = Attribute::ModulusBits(u64::from(bits).into());
            let parameters = vec![size, Attribute::PublicExponent(EXPONENT.to_vec())];
            (Mechanism::RsaPkcsKeyPairGen, MechanismType::RSA_PKCS_KEY_PAIR_GEN, vec![parameters])
        }
        Algorithm::Rsa(_) => return Err(unsupported()),
    })
}
