//! Certificates that somebody else made for a root key: whether every reader of Notary's dialect will take them.

use time::{Duration, OffsetDateTime};

use crate::key::{KeyError, PublicKey};
use crate::names::Gun;
use crate::verify::names_gun;
use crate::x509::{Certificate, CertificateError};

const CERTIFICATE: &str = "CERTIFICATE";
const END: &str = "-----END ";

/// Why a text is not the certificate of a root key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootCertificateError {
    /// No certificate is in it.
    #[error("it holds no PEM block `CERTIFICATE`")]
    NotPem,
    /// The PEM around the certificates is damaged.
    #[error("its PEM is damaged: {0}")]
    DamagedPem(String),
    /// A block of another kind.
    #[error("it holds a PEM block `{0}` beside certificates")]
    OtherBlock(String),
    /// Text after the last block.
    #[error("something follows its last PEM block")]
    TrailingText,
    /// A block that holds no certificate.
    #[error(transparent)]
    Certificate(CertificateError),
    /// A key that Notary does not take for root.
    #[error("its key does not fit: {0}; a root key is ECDSA or RSA")]
    Key(KeyError),
    /// The first one is an authority's.
    #[error("its first certificate is an authority's (CA:TRUE), and a root key's is not")]
    Authority,
    /// One that follows is no authority's.
    #[error("its certificate {position} is no authority's (CA:TRUE): only authorities follow the root key's own")]
    NotAnAuthority {
        /// Counted from 1.
        position: usize,
    },
    /// Notary refuses SHA-1.
    #[error("its certificate {position} is signed with SHA-1")]
    Sha1 {
        /// Counted from 1.
        position: usize,
    },
    /// It is another collection's.
    #[error("its common name is {found:?}, neither {gun} nor the beginning of it and `*`")]
    OtherName {
        /// The common name.
        found: String,
        /// The collection.
        gun: Gun,
    },
    /// It is no longer valid.
    #[error("its certificate {position} expired at {at}")]
    Expired {
        /// Counted from 1.
        position: usize,
        /// When.
        at: OffsetDateTime,
    },
    /// It is not valid yet.
    #[error("its certificate {position} is not valid before {at}")]
    NotYetValid {
        /// Counted from 1.
        position: usize,
        /// When.
        at: OffsetDateTime,
    },
}

/// Reads the certificate of a root key for `gun`, and the intermediate ones that follow it, as the key that the root role lists.
///
/// Text before a block is a comment. What is kept is PEM as Go writes it: Notary's readers compute the key's ID anew from
/// the certificates alone.
///
/// # Errors
/// [`RootCertificateError`]: whatever would make a reader refuse the root now.
pub fn parse(text: &str, gun: &Gun, now: OffsetDateTime) -> Result<PublicKey, RootCertificateError> {
    let blocks = blocks(text)?;
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text: String = blocks.iter().map(|block| pem::encode_config(block, config)).collect();
    let public = PublicKey::from_certificate_pem(&text).map_err(|e| match e {
        KeyError::Certificate(error) => RootCertificateError::Certificate(error),
        KeyError::Encoding | KeyError::Unsupported | KeyError::RsaBits(_) | KeyError::Mismatch { .. } => {
            RootCertificateError::Key(e)
        }
    })?;
    for (position, certificate) in (1..).zip(public.certificates()) {
        fits(certificate, position, now)?;
    }
    let leaf = public.certificate().ok_or(RootCertificateError::NotPem)?;
    match names_gun(leaf.common_name(), gun) {
        true => Ok(public),
        false => Err(RootCertificateError::OtherName { found: leaf.common_name().to_owned(), gun: gun.clone() }),
    }
}

fn blocks(text: &str) -> Result<Vec<pem::Pem>, RootCertificateError> {
    let blocks = pem::parse_many(text).map_err(|error| RootCertificateError::DamagedPem(error.to_string()))?;
    if let Some(other) = blocks.iter().find(|block| block.tag() != CERTIFICATE) {
        return Err(RootCertificateError::OtherBlock(other.tag().to_owned()));
    }
    let after = text.rsplit_once(END).map_or("", |(_, end)| end.split_once('\n').map_or("", |(_, rest)| rest));
    match blocks.is_empty() {
        true => Err(RootCertificateError::NotPem),
        false if after.trim().is_empty() => Ok(blocks),
        false => Err(RootCertificateError::TrailingText),
    }
}

// Notary 0.7 trustpinning: parseAllCerts, validRootLeafCerts, validRootIntCerts; one that is left out changes the key's ID
fn fits(certificate: &Certificate, position: usize, now: OffsetDateTime) -> Result<(), RootCertificateError> {
    let tomorrow = now.checked_add(Duration::DAY).unwrap_or(now);
    match (position, certificate.is_ca()) {
        (1, true) => return Err(RootCertificateError::Authority),
        (2.., false) => return Err(RootCertificateError::NotAnAuthority { position }),
        (_, _) => {}
    }
    if certificate.is_signed_with_sha1() {
        return Err(RootCertificateError::Sha1 { position });
    }
    if certificate.not_after() < now {
        return Err(RootCertificateError::Expired { position, at: certificate.not_after() });
    }
    if certificate.not_before() > tomorrow {
        return Err(RootCertificateError::NotYetValid { position, at: certificate.not_before() });
    }
    Ok(())
}
