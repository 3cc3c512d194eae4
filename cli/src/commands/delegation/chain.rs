//! Whether certificates of one file belong together: each vouched for by another one. It tells a chain from several keys;
//! nobody is trusted for it.

use rustls::pki_types::CertificateDer;
use signet_tuf::Certificate;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert};

/// Whether an authority has signed a certificate: its name is the issuer's, and its key made the signature.
pub(super) fn vouches_for(authority: &Certificate, certificate: &Certificate) -> bool {
    let (Ok(above), Ok(below)) = (authority.issued(), certificate.issued()) else { return false };
    if !authority.is_ca() || above.subject != below.issuer {
        return false;
    }
    let der = CertificateDer::from(authority.der());
    let Ok(key) = EndEntityCert::try_from(&der) else { return false };
    // which algorithm it is does not matter: one that does not fit the key verifies nothing
    ALL_VERIFICATION_ALGS
        .iter()
        .any(|algorithm| key.verify_signature(*algorithm, &below.signed, &below.signature).is_ok())
}
