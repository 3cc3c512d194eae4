//! Certificate authorities that `trust_pinning.ca` names, and whether one of them vouches for a root certificate.

use std::{fs, path::Path, time::Duration};

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use signet_tuf::{Certificate, Issuing, PublicKey};
use time::OffsetDateTime;
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath,
    anchor_from_trusted_cert,
};

/// The authorities of one file that are valid now.
#[derive(Debug)]
pub(super) struct Authorities(Vec<Certificate>);

impl Authorities {
    /// Reads a PEM file of certificates; those that are not valid now, sign with SHA-1 or are no authority's are left out.
    ///
    /// # Errors
    /// Notary's words; what exactly is wrong is logged.
    pub(super) fn read(path: &Path, now: OffsetDateTime) -> Result<Self, String> {
        let unreadable = |why: String| {
            tracing::warn!("{}: {why}", path.display());
            "could not load root cert from CA path".to_owned()
        };
        let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let all = Certificate::bundle(&text).map_err(|error| unreadable(error.to_string()))?;
        let usable: Vec<Certificate> = all.into_iter().filter(|certificate| is_usable(certificate, now)).collect();
        match usable.is_empty() {
            true => Err("invalid CA certs provided".to_owned()),
            false => Ok(Self(usable)),
        }
    }

    /// Whether a chain leads from a root key's certificate to one of them, by what Go asks of a chain by default.
    ///
    /// # Errors
    /// One sentence that says why not.
    pub(super) fn vouch_for(&self, key: &PublicKey, now: OffsetDateTime) -> Result<(), String> {
        let told = |error: webpki::Error| error.to_string();
        let (leaf, intermediate) = key.certificates().split_first().ok_or("it has no certificate")?;
        let anchors: Vec<CertificateDer<'_>> = self.0.iter().map(|it| CertificateDer::from(it.der())).collect();
        let anchors: Vec<TrustAnchor<'_>> =
            anchors.iter().map(anchor_from_trusted_cert).collect::<Result<_, _>>().map_err(told)?;
        let intermediate: Vec<CertificateDer<'_>> = intermediate
            .iter()
            .filter(|certificate| may_issue(certificate).is_some())
            .map(|certificate| CertificateDer::from(certificate.der()))
            .collect();
        if !leaf.issuing().is_ok_and(|leaf| leaf.for_servers) {
            return Err("its extended key usage is another than a server's".into());
        }
        let leaf = CertificateDer::from(leaf.der());
        let seconds = u64::try_from(now.unix_timestamp()).map_err(|_| "it is before 1970")?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let is_short_enough = |path: &VerifiedPath<'_>| match self.allows(path) {
            true => Ok(()),
            false => Err(webpki::Error::PathLenConstraintViolated),
        };
        let leaf = EndEntityCert::try_from(&leaf).map_err(told)?;
        leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &intermediate,
            time,
            AnyUsage,
            None,
            Some(&is_short_enough),
        )
        .map(drop)
        .map_err(told)
    }

    /// webpki knows of an anchor its name and key; how long a chain may get is asked here.
    fn allows(&self, path: &VerifiedPath<'_>) -> bool {
        let length = path.intermediate_certificates().count();
        let anchor = path.anchor();
        self.0.iter().any(|certificate| {
            let is_it =
                anchor_from_trusted_cert(&CertificateDer::from(certificate.der())).is_ok_and(|it| it == *anchor);
            let longest = may_issue(certificate).and_then(|issuing| issuing.path_length);
            is_it && longest.is_none_or(|longest| length <= usize::from(longest))
        })
    }
}

/// Go's `x509.VerifyOptions` without key usages asks that every certificate of a chain may be used for servers: leaf,
/// intermediate ones and anchors are asked before the chain is built.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

// Notary 0.7 trustpinning: NewTrustPinChecker; Go: CheckSignatureFrom
fn is_usable(certificate: &Certificate, now: OffsetDateTime) -> bool {
    // Go allows no leeway at a chain's end
    let has_begun = certificate.not_before() <= now;
    let usable = has_begun && certificate.fit_at(now).is_ok() && may_issue(certificate).is_some();
    if !usable {
        tracing::warn!("ignoring root CA certificate with CN {} in bundle", certificate.common_name());
    }
    usable
}

/// What it says about those that it signs, if it may sign certificates that are good for Go's default use.
fn may_issue(certificate: &Certificate) -> Option<Issuing> {
    let issuing = certificate.issuing().ok()?;
    (certificate.is_ca() && issuing.signs_certificates && issuing.for_servers).then_some(issuing)
}
