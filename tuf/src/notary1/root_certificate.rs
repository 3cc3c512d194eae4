//! Certificates that somebody else made for a root key: whether every reader of Notary's dialect will take them.

use time::OffsetDateTime;

use crate::blocks::{BlocksError, blocks};
use crate::key::{KeyError, PublicKey};
use crate::names::Gun;
use crate::x509::{Certificate, CertificateError, UnfitCertificate};

const CERTIFICATE: &str = "CERTIFICATE";

/// Why a text is not the certificate of a root key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootCertificateError {
    /// No certificate is in it.
    #[error("it holds no PEM block `CERTIFICATE`")]
    NotPem,
    /// The PEM around the certificates is damaged, or something follows it.
    #[error(transparent)]
    Blocks(#[from] BlocksError),
    /// A block of another kind.
    #[error("it holds a PEM block `{0}` beside certificates")]
    OtherBlock(String),
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
    /// Its validity ends before it begins.
    #[error("its certificate {position} is valid at no time")]
    Window {
        /// Counted from 1.
        position: usize,
    },
    /// Notary refuses RSA keys of less than 2048 bits, those of authorities too.
    #[error("its certificate {position} has an RSA key of less than 2048 bits")]
    ShortRsa {
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
    let text: String = certificates(text)?.iter().map(Certificate::to_pem).collect();
    let public = PublicKey::from_certificate_pem(&text).map_err(|e| match e {
        KeyError::Certificate(error) => RootCertificateError::Certificate(error),
        KeyError::Encoding | KeyError::Unsupported | KeyError::RsaBits(_) | KeyError::Mismatch { .. } => {
            RootCertificateError::Key(e)
        }
    })?;
    fits(&public, gun, Period::Includes(now))?;
    Ok(public)
}

fn certificates(text: &str) -> Result<Vec<Certificate>, RootCertificateError> {
    let blocks = blocks(text.as_bytes())?;
    if let Some(other) = blocks.iter().find(|block| block.tag() != CERTIFICATE) {
        return Err(RootCertificateError::OtherBlock(other.tag().to_owned()));
    }
    if blocks.is_empty() {
        return Err(RootCertificateError::NotPem);
    }
    let certificates = blocks.iter().map(|block| Certificate::from_der(block.contents()));
    certificates.collect::<Result<_, _>>().map_err(RootCertificateError::Certificate)
}

/// The PEM of a key's certificates as Go writes it.
pub(crate) fn pem_of(key: &PublicKey) -> String {
    key.certificates().iter().map(Certificate::to_pem).collect()
}

/// Whether certificates must be valid at some time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Period {
    Ignored,
    Includes(OffsetDateTime),
}

/// Whether Notary takes a key with these certificates for a root key of `gun`.
// Notary 0.7 trustpinning: parseAllCerts, validRootLeafCerts, validRootIntCerts. Of an older root, whose validity is not
// asked, it takes intermediate ones as they are.
pub(crate) fn fits(key: &PublicKey, gun: &Gun, period: Period) -> Result<(), RootCertificateError> {
    let (leaf, others) = key.certificates().split_first().ok_or(RootCertificateError::NotPem)?;
    if leaf.is_ca() {
        return Err(RootCertificateError::Authority);
    }
    if let Some((position, _)) = (2..).zip(others).find(|(_, certificate)| !certificate.is_ca()) {
        return Err(RootCertificateError::NotAnAuthority { position });
    }
    match period {
        Period::Ignored => leaf.fit().map_err(|why| unfit(leaf, 1, &why))?,
        Period::Includes(now) => {
            for (position, certificate) in (1..).zip(key.certificates()) {
                certificate.fit_at(now).map_err(|why| unfit(certificate, position, &why))?;
            }
        }
    }
    match names_gun(leaf.common_name(), gun) {
        true => Ok(()),
        false => Err(RootCertificateError::OtherName { found: leaf.common_name().to_owned(), gun: gun.clone() }),
    }
}

fn unfit(certificate: &Certificate, position: usize, why: &UnfitCertificate) -> RootCertificateError {
    match why {
        UnfitCertificate::Window => RootCertificateError::Window { position },
        UnfitCertificate::Sha1(_) => RootCertificateError::Sha1 { position },
        UnfitCertificate::ShortRsa => RootCertificateError::ShortRsa { position },
        UnfitCertificate::Expired(_) => RootCertificateError::Expired { position, at: certificate.not_after() },
        UnfitCertificate::Early(_) => RootCertificateError::NotYetValid { position, at: certificate.not_before() },
    }
}

/// Notary's rule: the name itself, or the beginning of it and `*`.
fn names_gun(common_name: &str, gun: &Gun) -> bool {
    if common_name.ends_with('*') {
        gun.as_str().starts_with(common_name.trim_end_matches('*'))
    } else {
        common_name == gun.as_str()
    }
}
