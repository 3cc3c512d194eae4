//! Requests for certificates of root keys: what an organisation's certificate authority signs, so that readers can pin the
//! authority.

use der::asn1::ObjectIdentifier;

use super::certificate::{
    BASIC_CONSTRAINTS, BOOLEAN, COMMON_NAME, INTEGER, KEY_USAGE, OCTET_STRING, SEQUENCE, SET, attribute, bits, method,
    oid, sealed, tlv,
};
use crate::key::{Method, PublicKey};
use crate::names::Gun;
use crate::signature::BadSignature;

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

// ITU-T X.690 identifier octets
const CONTEXT_0: u8 = 0xa0;

/// A request for the certificate of a root key. RFC 2986.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The collection: the subject's common name.
    pub gun: Gun,
    /// The key, which also signs.
    pub key: PublicKey,
}

impl Template {
    /// The DER of the `CertificationRequestInfo`: the bytes to sign.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        let subject = tlv(SEQUENCE, &attribute(COMMON_NAME, self.gun.as_str()));
        let attributes = tlv(CONTEXT_0, &extension_request());
        tlv(SEQUENCE, &[tlv(INTEGER, &[0]), subject, self.key.spki().to_vec(), attributes].concat())
    }

    /// How the key signs the request, as for certificates.
    #[must_use]
    pub fn method(&self) -> Method {
        method(&self.key)
    }

    /// The request as PEM text with a newline at the end.
    ///
    /// # Errors
    /// [`BadSignature`] if it is not this key's signature over [`Self::to_be_signed`].
    pub fn assemble(&self, signature: &[u8]) -> Result<String, BadSignature> {
        let block = pem::Pem::new("CERTIFICATE REQUEST", sealed(&self.key, self.to_be_signed(), signature)?);
        Ok(pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)))
    }
}

/// What an authority that copies extensions should write: no authority, a key for signatures, no extended usage, since Go
/// takes a chain for any other use than a server's only without one.
fn extension_request() -> Vec<u8> {
    let critical = tlv(BOOLEAN, &[0xff]);
    // cA is false by default and DER leaves defaults out
    let constraints = tlv(OCTET_STRING, &tlv(SEQUENCE, &[]));
    // RFC 5280 section 4.2.1.3: digitalSignature is bit 0
    let key_usage = tlv(OCTET_STRING, &bits(7, &[0b1000_0000]));
    let extensions = [
        tlv(SEQUENCE, &[oid(BASIC_CONSTRAINTS), critical.clone(), constraints].concat()),
        tlv(SEQUENCE, &[oid(KEY_USAGE), critical, key_usage].concat()),
    ];
    let values = tlv(SET, &tlv(SEQUENCE, &extensions.concat()));
    tlv(SEQUENCE, &[oid(EXTENSION_REQUEST), values].concat())
}
