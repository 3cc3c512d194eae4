//! The few facts of an X.509 certificate that Notary's rules look at.

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, Tag, Tagged};
use time::{Duration, OffsetDateTime};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::name::Name;

use crate::expires::NEAR_EXPIRY;
use crate::key::is_short_rsa;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// RFC 5280 section 4.2.1.12: serverAuth and anyExtendedKeyUsage.
const FOR_SERVERS: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"), ObjectIdentifier::new_unwrap("2.5.29.37.0")];
const SHA1_SIGNATURES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
    ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"),
];

/// Why a text is not a usable certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM, or no block of kind `CERTIFICATE` in it.
    #[error("there is no PEM block `CERTIFICATE`")]
    NotPem,
    /// The block does not hold a certificate.
    #[error("the certificate cannot be decoded: {0}")]
    Encoding(String),
    /// A time before year 0 or after year 9999.
    #[error("the certificate's validity is out of range")]
    Validity,
}

/// Notary 0.7: how far in the future the validity may begin.
const LEEWAY: Duration = Duration::days(1);

/// Why a certificate does not count for Notary. The words are Notary's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitCertificate {
    /// The validity ends before it begins.
    #[error("certificate validity window is invalid")]
    Window,
    /// It is signed with SHA-1.
    #[error("certificate with CN {0} uses invalid SHA1 signature algorithm")]
    Sha1(String),
    /// Its key is an RSA one of less than 2048 bits.
    #[error("RSA bit length is too short")]
    ShortRsa,
    /// Its validity has ended.
    #[error("certificate with CN {0} is expired")]
    Expired(String),
    /// Its validity begins later than tomorrow.
    #[error("certificate with CN {0} is expired")]
    Early(String),
}

/// How long a fit certificate will be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// For more than half a year.
    Long,
    /// For less than that.
    NearExpiry,
}

/// What a certificate says about its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    common_name: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    is_ca: bool,
    sha1: bool,
    spki: Vec<u8>,
    der: Vec<u8>,
}

/// What a certificate says about those that its key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issuing {
    /// Whether its key may sign certificates at all, as far as a key usage says so. RFC 5280 section 4.2.1.3.
    pub signs_certificates: bool,
    /// How many intermediate ones may follow. RFC 5280 section 4.2.1.9.
    pub path_length: Option<u8>,
    /// Whether it may be used for servers, which is what Go asks of every chain by default.
    pub for_servers: bool,
}

/// Who has signed a certificate, and what exactly. RFC 5280 section 4.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Whose it is, DER.
    pub subject: Vec<u8>,
    /// Who has signed it, DER.
    pub issuer: Vec<u8>,
    /// What is signed, DER.
    pub signed: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Certificate {
    /// Reads all certificates of a PEM text, the leaf first as Notary writes them.
    ///
    /// # Errors
    /// [`CertificateError`], also when the text holds no certificate.
    pub fn bundle(pem_text: &str) -> Result<Vec<Self>, CertificateError> {
        let blocks = pem::parse_many(pem_text).map_err(|_| CertificateError::NotPem)?;
        let certificates: Vec<Self> = blocks
            .iter()
            .filter(|block| block.tag() == "CERTIFICATE")
            .map(|block| Self::from_der(block.contents()))
            .collect::<Result<_, _>>()?;
        if certificates.is_empty() { Err(CertificateError::NotPem) } else { Ok(certificates) }
    }

    /// Reads one certificate.
    ///
    /// # Errors
    /// [`CertificateError::Encoding`] and [`CertificateError::Validity`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = x509_cert::Certificate::from_der(der).map_err(encoding)?;
        let body = certificate.tbs_certificate();
        let is_ca = match body.get_extension::<BasicConstraints>().map_err(encoding)? {
            Some((_, constraints)) => constraints.ca,
            None => false,
        };
        Ok(Self {
            common_name: common_name(body.subject()),
            not_before: instant(body.validity().not_before)?,
            not_after: instant(body.validity().not_after)?,
            is_ca,
            sha1: SHA1_SIGNATURES.contains(&certificate.signature_algorithm().oid),
            spki: body.subject_public_key_info().to_der().map_err(encoding)?,
            der: der.to_vec(),
        })
    }

    /// The subject's common name, empty if it has none; the last one if it has several, as Go reads it.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// The first instant of its validity.
    #[must_use]
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last instant of its validity.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether it may sign other certificates.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// Whether it counts for Notary at some time.
    ///
    /// # Errors
    /// [`UnfitCertificate`], but never that it has expired.
    pub fn fit(&self) -> Result<(), UnfitCertificate> {
        // Notary 0.7 tuf/utils/x509.go: ValidateCertificate, in its order
        if self.not_before > self.not_after {
            return Err(UnfitCertificate::Window);
        }
        if self.sha1 {
            return Err(UnfitCertificate::Sha1(self.common_name.clone()));
        }
        if is_short_rsa(&self.spki) { Err(UnfitCertificate::ShortRsa) } else { Ok(()) }
    }

    /// Whether it counts for Notary at that time: the one rule for delegates' certificates, root certificates and authorities.
    ///
    /// # Errors
    /// [`UnfitCertificate`].
    pub fn fit_at(&self, now: OffsetDateTime) -> Result<Lifetime, UnfitCertificate> {
        self.fit()?;
        if self.not_before > now.saturating_add(LEEWAY) {
            return Err(UnfitCertificate::Early(self.common_name.clone()));
        }
        if self.not_after < now {
            return Err(UnfitCertificate::Expired(self.common_name.clone()));
        }
        Ok(if self.not_after < now.saturating_add(NEAR_EXPIRY) { Lifetime::NearExpiry } else { Lifetime::Long })
    }

    /// The whole of it as PEM, byte for byte as Go writes it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let block = pem::Pem::new("CERTIFICATE", self.der.as_slice());
        pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
    }

    /// The whole of it.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What it says about those that its key signs.
    ///
    /// # Errors
    /// [`CertificateError::Encoding`] if one of these extensions cannot be read.
    pub fn issuing(&self) -> Result<Issuing, CertificateError> {
        let certificate = x509_cert::Certificate::from_der(&self.der).map_err(encoding)?;
        let body = certificate.tbs_certificate();
        let usage = body.get_extension::<KeyUsage>().map_err(encoding)?;
        let extended = body.get_extension::<ExtendedKeyUsage>().map_err(encoding)?;
        let constraints = body.get_extension::<BasicConstraints>().map_err(encoding)?;
        Ok(Issuing {
            signs_certificates: usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
            path_length: constraints.and_then(|(_, constraints)| constraints.path_len_constraint),
            for_servers: extended
                .is_none_or(|(_, list)| list.0.is_empty() || list.0.iter().any(|it| FOR_SERVERS.contains(it))),
        })
    }

    /// Who has signed it, and what exactly.
    ///
    /// # Errors
    /// [`CertificateError::Encoding`].
    pub fn issued(&self) -> Result<Issued, CertificateError> {
        let certificate = x509_cert::Certificate::from_der(&self.der).map_err(encoding)?;
        let body = certificate.tbs_certificate();
        Ok(Issued {
            subject: body.subject().to_der().map_err(encoding)?,
            issuer: body.issuer().to_der().map_err(encoding)?,
            signed: body.to_der().map_err(encoding)?,
            signature: certificate.signature().raw_bytes().to_vec(),
        })
    }

    /// The DER of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
}

fn common_name(subject: &Name) -> String {
    let names = subject.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    let text = names.last().filter(|attribute| {
        matches!(attribute.value.tag(), Tag::PrintableString | Tag::Utf8String | Tag::Ia5String | Tag::TeletexString)
    });
    text.map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned()).unwrap_or_default()
}

fn instant(time: x509_cert::time::Time) -> Result<OffsetDateTime, CertificateError> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| CertificateError::Validity)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CertificateError::Validity)
}

fn encoding(error: der::Error) -> CertificateError {
    CertificateError::Encoding(error.to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_certificate_is_fit_by_notarys_rules() {
        const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
        let from_to = |not_before, not_after| Certificate {
            common_name: "ann".into(),
            not_before,
            not_after,
            is_ca: false,
            sha1: false,
            spki: Vec::new(),
            der: Vec::new(),
        };
        let (early, late) = (datetime!(2026-01-01 0:00 UTC), datetime!(2030-01-01 0:00 UTC));
        let expired = || Err(UnfitCertificate::Expired("ann".into()));
        let table = [
            (from_to(early, late), Ok(Lifetime::Long)),
            (from_to(datetime!(2026-06-02 12:00 UTC), late), Ok(Lifetime::Long)),
            (from_to(datetime!(2026-06-02 12:00:01 UTC), late), Err(UnfitCertificate::Early("ann".into()))),
            (from_to(early, NOW), Ok(Lifetime::NearExpiry)),
            (from_to(early, datetime!(2026-06-01 11:59:59 UTC)), expired()),
            (from_to(early, datetime!(2026-12-01 0:00 UTC)), Ok(Lifetime::NearExpiry)),
            (from_to(early, datetime!(2026-12-02 0:00 UTC)), Ok(Lifetime::Long)),
            (from_to(late, early), Err(UnfitCertificate::Window)),
            (from_to(datetime!(2026-06-02 0:00 UTC), datetime!(2026-06-01 18:00 UTC)), Err(UnfitCertificate::Window)),
            (Certificate { sha1: true, ..from_to(early, late) }, Err(UnfitCertificate::Sha1("ann".into()))),
        ];
        for (certificate, wanted) in table {
            assert_eq!(certificate.fit_at(NOW), wanted, "{certificate:?}");
        }
    }
}
