//! What unit tests of several modules begin with.

use base64::{Engine, engine::general_purpose::STANDARD};
use signet_tuf::PublicKey;

/// SubjectPublicKeyInfo of a throw-away P-256 key.
pub(crate) const A: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpFf1E06PtIG2la/G85wVMVAWHqaD6HwYl5YftRVHzDDur12tRSqkr5S29GLy+x9ejdy3qy989TFHWgSFYfPWDA==";
/// Of another one.
pub(crate) const B: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBWqQi+zo4FwW8R/4BIOYgIrDeXYJLGHpaHxMDOuUAylKwAD+IKaexiTMAcgC/liN+tvY6RcBNW2+ekFjwQ2E8A==";

/// The key of an SPKI.
pub(crate) fn key(spki: &str) -> PublicKey {
    PublicKey::from_spki(&STANDARD.decode(spki).unwrap()).unwrap()
}
