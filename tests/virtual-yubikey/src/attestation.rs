//! Who vouches for keys that were made on the card: a root of this card's own, in place of Yubico's.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    SignatureAlgorithm, date_time_ymd,
};

use crate::{
    card::Version,
    key::{Algorithm, Key},
    piv::Slot,
    tlv::tlv,
};

const ROOT: &str = "Yubico PIV Root CA Serial 263751 (VIRTUAL)";
/// Yubico's arc for attestation: firmware, serial number, policies, form factor.
const EXTENSION: [u64; 8] = [1, 3, 6, 1, 4, 1, 41482, 3];
const KEYCHAIN: u8 = 1;

/// The chain that ends in slot F9.
pub(crate) struct Attestation {
    root: Certificate,
    intermediate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Attestation {
    pub(crate) fn new(serial: u32) -> anyhow::Result<Self> {
        let root_key = KeyPair::generate()?;
        let root_params = params(ROOT, IsCa::Ca(BasicConstraints::Unconstrained));
        let root = root_params.self_signed(&root_key)?;
        let root_issuer = Issuer::new(root_params, root_key);
        let key = KeyPair::generate()?;
        let name = format!("Yubico PIV Attestation (VIRTUAL {serial})");
        let params = params(&name, IsCa::Ca(BasicConstraints::Constrained(0)));
        let intermediate = params.signed_by(&key, &root_issuer)?;
        Ok(Self { root, intermediate, issuer: Issuer::new(params, key) })
    }

    /// The root, DER.
    pub(crate) fn root(&self) -> &[u8] {
        self.root.der()
    }

    /// What object 5FFF01 holds.
    pub(crate) fn object(&self) -> Vec<u8> {
        [tlv(0x70, self.intermediate.der()), vec![0x71, 1, 0, 0xfe, 0]].concat()
    }

    /// The certificate of a key that was made in a slot, DER.
    pub(crate) fn attest(&self, id: u8, slot: &Slot, version: Version, serial: u32) -> Option<Vec<u8>> {
        let Version(major, minor, patch) = version;
        let mut params = params(&format!("YubiKey PIV Attestation {id:02x}"), IsCa::NoCa);
        // an INTEGER must not look negative
        let serial = [&[0][..], &serial.to_be_bytes()].concat();
        let serial = &serial[serial.iter().position(|byte| *byte != 0).unwrap_or(4).saturating_sub(1)..];
        params.custom_extensions = [
            (3, vec![major, minor, patch]),
            (7, tlv(0x02, serial)),
            (8, vec![slot.pin_policy as u8, slot.touch_policy as u8]),
            (9, vec![KEYCHAIN]),
        ]
        .map(|(arc, content)| CustomExtension::from_oid_content(&[&EXTENSION[..], &[arc]].concat(), content))
        .to_vec();
        let certificate = params.signed_by(&Public::of(&slot.key), &self.issuer).ok()?;
        Some(certificate.der().to_vec())
    }
}

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2016, 3, 14);
    params.not_after = date_time_ymd(2052, 4, 17);
    params.is_ca = is_ca;
    params
}

/// A public key in the form that rcgen wants.
struct Public {
    bits: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl Public {
    fn of(key: &Key) -> Self {
        let bits = match key.public() {
            (point, None) => point,
            (modulus, Some(exponent)) => {
                tlv_sequence(&[tlv(0x02, &[&[0], modulus.as_slice()].concat()), tlv(0x02, &exponent)])
            }
        };
        let algorithm = match key.algorithm() {
            Algorithm::EccP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::EccP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::Ed25519 => &rcgen::PKCS_ED25519,
            Algorithm::Rsa1024 | Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
                &rcgen::PKCS_RSA_SHA256
            }
        };
        Self { bits, algorithm }
    }
}

fn tlv_sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}
