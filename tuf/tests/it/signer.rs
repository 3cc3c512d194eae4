//! Keys made on the spot, and what they sign.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P521_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use signet_tuf::certificate::{Subject, Template};
use signet_tuf::{Algorithm, Envelope, Gun, Metadata, Method, PublicKey, Signature};
use time::macros::datetime;

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub(crate) struct Signer {
    pair: Pair,
    pub(crate) key: PublicKey,
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::EcdsaP256 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::EcdsaP521 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P521_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::Rsa(2048) => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            Algorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            other @ (Algorithm::Rsa(_) | Algorithm::EcdsaP384) => panic!("no signer for {other}"),
        };
        let key = PublicKey::from_spki(&spki(&pair)).unwrap();
        Self { pair, key }
    }

    /// The same key in a certificate of its own, as Notary's root keys are.
    pub(crate) fn certified(self, gun: &Gun, serial: u8) -> Self {
        let key = PublicKey::from_certificate_pem(&self.certificate(gun, serial)).unwrap();
        Self { key, ..self }
    }

    pub(crate) fn certificate(&self, gun: &Gun, serial: u8) -> String {
        let template = template(gun, &self.key, serial);
        template.assemble(&self.sign(template.method(), &template.to_be_signed())).unwrap()
    }

    pub(crate) fn sign(&self, method: Method, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding = if method == Method::RsaPss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}

pub(crate) fn template(gun: &Gun, key: &PublicKey, serial: u8) -> Template {
    Template {
        subject: Subject::Collection(gun.clone()),
        key: PublicKey::from_spki(key.spki()).unwrap(),
        not_before: datetime!(2026-01-01 00:00 UTC),
        not_after: datetime!(2056-01-01 00:00 UTC),
        serial: [serial; 16],
    }
}

/// The metadata signed by every signer.
pub(crate) fn signed(metadata: &Metadata, signers: &[&Signer]) -> Envelope {
    let message = signet_tuf::notary1::encode(metadata);
    let signatures = signers.iter().map(|signer| {
        let method = signer.key.method();
        Signature { key_id: signer.key.key_id(), method, sig: signer.sign(method, &message) }
    });
    Envelope::unsigned(metadata.clone()).with_signatures(signatures.collect())
}

fn spki(pair: &Pair) -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    let der: PublicKeyX509Der<'_> = match pair {
        Pair::Ecdsa(pair) => pair.public_key().as_der().unwrap(),
        Pair::Rsa(pair) => pair.public_key().as_der().unwrap(),
        Pair::Ed25519(pair) => pair.public_key().as_der().unwrap(),
    };
    der.as_ref().to_vec()
}
