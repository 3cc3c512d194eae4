//! The self-signed certificates that Notary wraps root keys in, one per key and collection, and by which it tells what a
//! key on a token is for.

use der::asn1::ObjectIdentifier;
use time::OffsetDateTime;

use crate::key::{Algorithm, Method, PublicKey};
use crate::names::Gun;
use crate::signature::{self, BadSignature};

pub(super) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
pub(super) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
pub(super) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const RSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

// ITU-T X.690 identifier octets
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xa0;
const EXPLICIT_3: u8 = 0xa3;

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The collection that a root key is for, as common name.
    Collection(Gun),
    /// The role that a token's key is for, as common name; its collection, if it is for one only, as organization.
    Role(String, Option<Gun>),
}

/// What varies between the certificates of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Subject and issuer.
    pub subject: Subject,
    /// The key, which also signs.
    pub key: PublicKey,
    /// Start of the validity; fractions of seconds are dropped.
    pub not_before: OffsetDateTime,
    /// End of the validity; fractions of seconds are dropped.
    pub not_after: OffsetDateTime,
    /// A random serial number.
    pub serial: [u8; 16],
}

impl Template {
    /// The DER of the `TBSCertificate`: the bytes to sign.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        let name = self.name();
        let validity = tlv(SEQUENCE, &[time(self.not_before), time(self.not_after)].concat());
        tlv(
            SEQUENCE,
            &[
                tlv(EXPLICIT_0, &tlv(INTEGER, &[2])),
                unsigned(&self.serial),
                signature_algorithm(&self.key),
                name.clone(),
                validity,
                name,
                self.key.spki().to_vec(),
                tlv(EXPLICIT_3, &extensions()),
            ]
            .concat(),
        )
    }

    /// How the key signs the certificate: PKCS#1 v1.5 for RSA; SHA-256 on every curve, the one digest of Notary's metadata.
    #[must_use]
    pub fn method(&self) -> Method {
        method(&self.key)
    }

    /// The certificate as PEM text with a newline at the end.
    ///
    /// `signature` is over [`Self::to_be_signed`] by [`Self::method`]; ECDSA ones are `r` and `s`, each padded to the field's size.
    ///
    /// # Errors
    /// [`BadSignature`] if it is not this key's signature over these bytes.
    pub fn assemble(&self, signature: &[u8]) -> Result<String, BadSignature> {
        let block = pem::Pem::new("CERTIFICATE", self.assemble_der(signature)?);
        Ok(pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)))
    }

    /// The same as DER.
    ///
    /// # Errors
    /// [`BadSignature`] as [`Self::assemble`].
    pub fn assemble_der(&self, signature: &[u8]) -> Result<Vec<u8>, BadSignature> {
        sealed(&self.key, self.to_be_signed(), signature)
    }

    fn name(&self) -> Vec<u8> {
        let attributes = match &self.subject {
            Subject::Collection(gun) => attribute(COMMON_NAME, gun.as_str()),
            Subject::Role(role, None) => attribute(COMMON_NAME, role),
            Subject::Role(role, Some(gun)) => {
                [attribute(ORGANIZATION, gun.as_str()), attribute(COMMON_NAME, role)].concat()
            }
        };
        tlv(SEQUENCE, &attributes)
    }
}

/// How a key signs what X.509 and PKCS #10 define.
pub(super) fn method(key: &PublicKey) -> Method {
    match key.algorithm() {
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => Method::Ecdsa,
        Algorithm::Rsa(_) => Method::RsaPkcs1v15,
        Algorithm::Ed25519 => Method::EdDsa,
    }
}

/// The body, how it is signed, and the signature, which is checked before.
pub(super) fn sealed(key: &PublicKey, body: Vec<u8>, signature: &[u8]) -> Result<Vec<u8>, BadSignature> {
    key.verify(method(key), &body, signature)?;
    let value = match method(key) {
        Method::Ecdsa => signature::ecdsa_to_der(key.algorithm(), signature).ok_or(BadSignature)?,
        Method::RsaPkcs1v15 | Method::RsaPss | Method::EdDsa => signature.to_vec(),
    };
    Ok(tlv(SEQUENCE, &[body, signature_algorithm(key), bits(0, &value)].concat()))
}

fn signature_algorithm(key: &PublicKey) -> Vec<u8> {
    let content = match key.algorithm() {
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => oid(ECDSA_WITH_SHA256),
        Algorithm::Rsa(_) => [oid(RSA_WITH_SHA256), tlv(NULL, &[])].concat(),
        Algorithm::Ed25519 => oid(ED25519),
    };
    tlv(SEQUENCE, &content)
}

pub(super) fn attribute(kind: ObjectIdentifier, text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    // Go's encoding/asn1 writes a PrintableString wherever it can
    let is_printable = text.iter().all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(b));
    let value = tlv(if is_printable { PRINTABLE_STRING } else { UTF8_STRING }, text);
    tlv(SET, &tlv(SEQUENCE, &[oid(kind), value].concat()))
}

/// In the order in which Go writes them.
fn extensions() -> Vec<u8> {
    let critical = tlv(BOOLEAN, &[0xff]);
    // RFC 5280 §4.2.1.3: digitalSignature is bit 0, keyEncipherment bit 2
    let key_usage = tlv(OCTET_STRING, &bits(5, &[0b1010_0000]));
    let extended = tlv(OCTET_STRING, &tlv(SEQUENCE, &oid(CODE_SIGNING)));
    // cA is false by default and DER leaves defaults out
    let constraints = tlv(OCTET_STRING, &tlv(SEQUENCE, &[]));
    let list = [
        tlv(SEQUENCE, &[oid(KEY_USAGE), critical.clone(), key_usage].concat()),
        tlv(SEQUENCE, &[oid(EXTENDED_KEY_USAGE), extended].concat()),
        tlv(SEQUENCE, &[oid(BASIC_CONSTRAINTS), critical, constraints].concat()),
    ];
    tlv(SEQUENCE, &list.concat())
}

/// RFC 5280 §4.1.2.5: `UTCTime` through 2049, `GeneralizedTime` from 2050 on.
fn time(instant: OffsetDateTime) -> Vec<u8> {
    let utc = instant.to_offset(time::UtcOffset::UTC);
    let (year, month, day) = (utc.year(), u8::from(utc.month()), utc.day());
    let rest = format!("{month:02}{day:02}{:02}{:02}{:02}Z", utc.hour(), utc.minute(), utc.second());
    if (1950..2050).contains(&year) {
        tlv(UTC_TIME, format!("{:02}{rest}", year.rem_euclid(100)).as_bytes())
    } else {
        tlv(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}

pub(super) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    tlv(OBJECT_IDENTIFIER, oid.as_bytes())
}

pub(super) fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[unused], bytes].concat())
}

/// A number that is not negative: no leading zeros, but one where the first bit is set.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    match digits.first() {
        Some(first) if *first < 0x80 => tlv(INTEGER, digits),
        Some(_) | None => tlv(INTEGER, &[&[0], digits].concat()),
    }
}

/// Tag, length, value in DER.
pub(super) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let digits = length.get(zeros..).unwrap_or_default();
    let head = match (u8::try_from(value.len()), u8::try_from(digits.len())) {
        (Ok(short), _) if short < 0x80 => vec![tag, short],
        (_, Ok(count)) => [&[tag, 0x80 | count], digits].concat(),
        (_, Err(_)) => vec![tag],
    };
    [head.as_slice(), value].concat()
}
