//! A throw-away certificate authority.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::{Duration, OffsetDateTime};

/// A certificate authority that exists for one story.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A server's certificate and private key, both PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

/// When a certificate is good.
#[derive(Clone, Copy)]
pub enum Validity {
    /// From yesterday to tomorrow.
    Current,
    /// It ended yesterday.
    Expired,
}

impl Authority {
    /// An authority of that name.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (from, _) = Validity::Current.bounds();
        params.not_before = from.saturating_sub(Duration::days(30));
        params.not_after = from.saturating_add(Duration::days(30));
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { pem: certificate.pem(), issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server on this machine: localhost, 127.0.0.1, and the name that Notary's client takes for granted.
    pub fn server(&self, validity: Validity) -> Result<Identity> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "notary-server".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = validity.bounds();
        self.signed(&params)
    }

    /// A certificate for a person, who shows it to servers.
    pub fn client(&self) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = Validity::Current.bounds();
        self.signed(&params)
    }

    fn signed(&self, params: &CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Validity {
    fn bounds(self) -> (OffsetDateTime, OffsetDateTime) {
        let now = OffsetDateTime::now_utc();
        match self {
            Self::Current => (now.saturating_sub(Duration::days(1)), now.saturating_add(Duration::days(1))),
            Self::Expired => (now.saturating_sub(Duration::days(9)), now.saturating_sub(Duration::days(1))),
        }
    }
}
