//! Certificate authorities as organisations run them: keys, requests and certificates by openssl.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{Call, Home};

/// What a leaf of a good root certificate says beside its name.
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";

/// A drawer of PEM files and the program that makes them.
pub struct Openssl<'a> {
    home: &'a Home,
}

/// A certificate that is to be made.
#[derive(Debug, Clone)]
pub struct Paper<'a> {
    /// The subject's common name.
    pub name: &'a str,
    /// openssl's words for its extensions.
    pub extensions: String,
    /// The day on which it is made, as `Call::by_clock` says it; it lives a year.
    pub made: &'a str,
}

impl<'a> Paper<'a> {
    /// A leaf for a root key that every reader takes.
    #[must_use]
    pub fn leaf(name: &'a str) -> Self {
        Self { name, extensions: LEAF.to_owned(), made: "-1d" }
    }

    /// An authority.
    #[must_use]
    pub fn authority(name: &'a str) -> Self {
        Self { name, extensions: AUTHORITY.to_owned(), made: "-1d" }
    }

    /// The same made three years ago, so that it has expired.
    #[must_use]
    pub fn long_ago(self) -> Self {
        Self { made: "-1100d", ..self }
    }

    /// The same with one extension more.
    #[must_use]
    pub fn and(mut self, extension: &str) -> Self {
        self.extensions.push_str(extension);
        self.extensions.push('\n');
        self
    }
}

impl<'a> Openssl<'a> {
    /// The files are put into the home.
    #[must_use]
    pub fn of(home: &'a Home) -> Self {
        Self { home }
    }

    /// The file of that name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// openssl itself.
    #[must_use]
    pub fn call(&self, line: &str) -> Call {
        self.home.call("/usr/bin/openssl").args(line.split_whitespace())
    }

    /// Makes a P-256 key, `NAME.key`.
    pub fn key(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(&format!("{name}.key"));
        self.call("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out").args([&path]).ok()?;
        Ok(path)
    }

    /// The same key under a passphrase, as Notary can open it: `NAME-sealed.key`.
    pub fn sealed(&self, name: &str, passphrase: &str) -> Result<PathBuf> {
        let (plain, sealed) = (self.path(&format!("{name}.key")), self.path(&format!("{name}-sealed.key")));
        // Notary takes every PRF for HMAC-SHA1
        let words = "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA1 -iter 2048 -passout";
        let call = self.call(words).args([format!("pass:{passphrase}")]).args(["-in"]).args([&plain]);
        call.args(["-out"]).args([&sealed]).ok()?;
        Ok(sealed)
    }

    /// A certificate, `FILE.pem`, that `NAME.key` signs itself.
    pub fn self_signed(&self, file: &str, key: &str, paper: &Paper<'_>) -> Result<PathBuf> {
        self.issue(file, key, paper, &format!("-signkey {key}.key"))
    }

    /// A certificate, `FILE.pem`, of `KEY.key`, by the authority `ISSUER.pem`, `ISSUER.key`.
    pub fn signed_by(&self, issuer: &str, file: &str, key: &str, paper: &Paper<'_>) -> Result<PathBuf> {
        self.issue(file, key, paper, &format!("-CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial"))
    }

    /// A certificate, `FILE.pem`, for a request that somebody else made.
    pub fn for_request(&self, issuer: &str, file: &str, request: &Path, paper: &Paper<'_>) -> Result<PathBuf> {
        self.certificate(file, request, paper, &format!("-CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial"))
    }

    /// Several files, one behind the other, in a new one.
    pub fn joined(&self, file: &str, parts: &[&Path]) -> Result<PathBuf> {
        let texts: std::io::Result<Vec<_>> = parts.iter().map(std::fs::read_to_string).collect();
        self.home.write(file, texts?.concat())
    }

    fn issue(&self, file: &str, key: &str, paper: &Paper<'_>, by: &str) -> Result<PathBuf> {
        let request = self.path(&format!("{file}.csr"));
        let subject = format!("/CN={}", paper.name.replace('/', "\\/"));
        let key = self.path(&format!("{key}.key"));
        self.call("req -new -subj").args([subject]).args(["-key"]).args([&key]).args(["-out"]).args([&request]).ok()?;
        self.certificate(file, &request, paper, by)
    }

    fn certificate(&self, file: &str, request: &Path, paper: &Paper<'_>, by: &str) -> Result<PathBuf> {
        let path = self.path(&format!("{file}.pem"));
        let extensions = self.home.write(&format!("{file}.ext"), &paper.extensions)?;
        let call = self
            .call("x509 -req -in")
            .by_clock(paper.made)
            .args([request])
            .args(["-days", "365", "-sha256"])
            .args(by.split_whitespace());
        call.args(["-extfile"]).args([&extensions]).args(["-out"]).args([&path]).ok()?;
        Ok(path)
    }
}
