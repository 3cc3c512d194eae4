//! Certificates that say anything: who reads them here does not check their signatures.

use time::OffsetDateTime;
use time::macros::datetime;

use crate::signer::Signer;

// ITU-T X.690 identifier octets
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xa0;
const EXPLICIT_3: u8 = 0xa3;

/// The DER of object identifiers, without head: sha256WithRSAEncryption, sha1WithRSAEncryption, rsaEncryption.
pub(crate) const SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
pub(crate) const SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// Whether a paper is an authority's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Issues {
    Certificates,
    Nothing,
}

/// What a certificate says.
#[derive(Clone)]
pub(crate) struct Paper<'a> {
    pub(crate) name: &'a str,
    pub(crate) issues: Issues,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) algorithm: &'a [u8],
    pub(crate) spki: Vec<u8>,
}

impl<'a> Paper<'a> {
    /// Valid from 2026 to 2036.
    pub(crate) fn of(signer: &Signer, name: &'a str, issues: Issues) -> Self {
        let (not_before, not_after) = (datetime!(2026-01-01 0:00 UTC), datetime!(2036-01-01 0:00 UTC));
        Self { name, issues, not_before, not_after, algorithm: SHA256, spki: signer.key.spki().to_vec() }
    }

    pub(crate) fn during(self, not_before: OffsetDateTime, not_after: OffsetDateTime) -> Self {
        Self { not_before, not_after, ..self }
    }

    pub(crate) fn pem(&self) -> String {
        let algorithm = tlv(SEQUENCE, &[&oid(self.algorithm), &[NULL, 0]]);
        let text = tlv(UTF8_STRING, &[self.name.as_bytes()]);
        let name = tlv(SEQUENCE, &[&tlv(SET, &[&tlv(SEQUENCE, &[&oid(COMMON_NAME), &text])])]);
        let authority: &[u8] = if self.issues == Issues::Certificates { &[BOOLEAN, 1, 0xff] } else { &[] };
        let constraints = tlv(OCTET_STRING, &[&tlv(SEQUENCE, &[authority])]);
        let extensions = tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&oid(BASIC_CONSTRAINTS), &constraints])]);
        let body = tlv(
            SEQUENCE,
            &[
                &tlv(EXPLICIT_0, &[&[INTEGER, 1, 2]]),
                &[INTEGER, 1, 1],
                &algorithm,
                &name,
                &tlv(SEQUENCE, &[&instant(self.not_before), &instant(self.not_after)]),
                &name,
                &self.spki,
                &tlv(EXPLICIT_3, &[&extensions]),
            ],
        );
        let whole = tlv(SEQUENCE, &[&body, &algorithm, &tlv(BIT_STRING, &[&[0, 1]])]);
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("CERTIFICATE", whole), config)
    }
}

/// A `SubjectPublicKeyInfo` of an RSA modulus of so many bytes.
pub(crate) fn rsa_spki(bytes: usize) -> Vec<u8> {
    let modulus = tlv(INTEGER, &[&[0], &vec![0xff; bytes]]);
    let key = tlv(SEQUENCE, &[&modulus, &[INTEGER, 3, 1, 0, 1]]);
    tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&oid(RSA), &[NULL, 0]]), &tlv(BIT_STRING, &[&[0], &key])])
}

fn oid(bytes: &[u8]) -> Vec<u8> {
    tlv(OBJECT_IDENTIFIER, &[bytes])
}

fn instant(at: OffsetDateTime) -> Vec<u8> {
    let (year, month, day) = at.to_calendar_date();
    let month = u8::from(month);
    let text = format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    tlv(GENERALIZED_TIME, &[text.as_bytes()])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    let head = if value.len() < 0x80 {
        vec![tag, low]
    } else if high == 0 {
        vec![tag, 0x81, low]
    } else {
        vec![tag, 0x82, high, low]
    };
    [head, value].concat()
}
