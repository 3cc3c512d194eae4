//! The real notary-server, with its store in memory.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use signet_tuf::{Envelope, Role};
use tempfile::TempDir;

use crate::{Authority, Background, Call, TokenServer, Validity, wait_until};

const START: Duration = Duration::from_secs(20);
const PORTS_TRIED: usize = 8;

/// Who is let in.
#[derive(Clone, Copy)]
pub enum Guard<'a> {
    /// Everybody.
    None,
    /// Who brings a token of that server.
    Tokens(&'a TokenServer),
    /// The same, but the server says that its token server is elsewhere.
    TokensOf(&'a TokenServer, &'a str),
    /// Who has a certificate of the server's authority.
    Certificates,
}

/// A running server; its signer of timestamps and snapshots is inside it.
pub struct NotaryServer {
    directory: TempDir,
    process: Background,
    port: u16,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl NotaryServer {
    /// Starts a server with a certificate of that authority.
    pub fn start(authority: &Authority) -> Result<Self> {
        Self::start_with(authority, Validity::Current)
    }

    /// Starts a server that does not let everybody in.
    pub fn start_guarded(authority: &Authority, guard: Guard<'_>) -> Result<Self> {
        Self::launch(authority, Validity::Current, guard)
    }

    /// Starts a server with a certificate that is good or not.
    pub fn start_with(authority: &Authority, validity: Validity) -> Result<Self> {
        Self::launch(authority, validity, Guard::None)
    }

    fn launch(authority: &Authority, validity: Validity, guard: Guard<'_>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("signet-server-").tempdir()?;
        let identity = authority.server(validity)?;
        fs::write(directory.path().join("server.crt"), identity.certificate)?;
        fs::write(directory.path().join("server.key"), identity.key)?;
        fs::write(directory.path().join("ca.crt"), authority.pem())?;
        let client = authority.client()?;
        let http = reqwest::Client::builder()
            .identity(reqwest::Identity::from_pem(format!("{}{}", client.certificate, client.key).as_bytes())?)
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.pem().as_bytes())?])
            .tls_danger_accept_invalid_certs(matches!(validity, Validity::Expired))
            .timeout(Duration::from_secs(10))
            .build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for _ in 0..PORTS_TRIED {
            let port = free_port()?;
            let mut process = launch(directory.path(), port, guard)?;
            let health = format!("https://127.0.0.1:{port}/_notary_server/health");
            let answers = || {
                runtime
                    .block_on(async { http.get(&health).send().await })
                    .is_ok_and(|answer| answer.status().is_success())
            };
            let mut gone = false;
            wait_until("an answer of notary-server", START, || {
                gone = process.exited().is_some();
                gone || answers()
            })
            .with_context(|| log_of(directory.path()))?;
            if !gone {
                return Ok(Self { directory, process, port, http, runtime });
            }
            if !log_of(directory.path()).contains("address already in use") {
                bail!("notary-server ended at once:\n{}", log_of(directory.path()));
            }
        }
        bail!("no free port for notary-server after {PORTS_TRIED} tries")
    }

    /// The base URL, as `-s` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The same server under its other name.
    #[must_use]
    pub fn url_by_name(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The file with the authority's certificate, as `--tlscacert` wants it.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// A metadata file as the server serves it (`targets.json`, `3.root.json`); none if it has none.
    pub fn metadata(&self, gun: &str, file: &str) -> Result<Option<Vec<u8>>> {
        let url = format!("{}/v2/{gun}/_trust/tuf/{file}", self.url());
        self.runtime.block_on(async {
            let answer = self.http.get(&url).send().await?;
            match answer.status().as_u16() {
                200 => Ok(Some(answer.bytes().await?.to_vec())),
                404 => Ok(None),
                status => bail!("{url} answered {status}"),
            }
        })
    }

    /// The version that the server serves of a role; 0 if none.
    pub fn version(&self, gun: &str, role: &str) -> Result<u64> {
        let Some(bytes) = self.metadata(gun, &format!("{role}.json"))? else {
            return Ok(0);
        };
        let parsed: Value = serde_json::from_slice(&bytes)?;
        parsed.pointer("/signed/version").and_then(Value::as_u64).context("metadata without a version")
    }

    /// SHA-256 of what is signed in the served metadata of a role, hex.
    pub fn digest(&self, gun: &str, role: &str) -> Result<String> {
        let bytes = self.metadata(gun, &format!("{role}.json"))?.context("the server has no such metadata")?;
        let role = Role::parse(role)?;
        Ok(Envelope::parse(&role, &bytes)?.digest().to_string())
    }

    /// Stops the server; the port stays free for nobody in particular.
    pub fn stop(&mut self) {
        self.process.kill();
    }
}

impl Drop for NotaryServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("[notary-server, port {}]\n{}", self.port, log_of(self.directory.path()));
        }
    }
}

fn launch(directory: &Path, port: u16, guard: Guard<'_>) -> Result<Background> {
    let client_ca = matches!(guard, Guard::Certificates).then_some("./ca.crt");
    let auth = match guard {
        Guard::None | Guard::Certificates => json!({}),
        Guard::Tokens(tokens) => tokens.auth(&tokens.realm()),
        Guard::TokensOf(tokens, realm) => tokens.auth(realm),
    };
    let config = json!({
        "server": {
            "http_addr": format!("127.0.0.1:{port}"),
            "tls_cert_file": "./server.crt",
            "tls_key_file": "./server.key",
            "client_ca_file": client_ca.unwrap_or_default(),
        },
        "trust_service": { "type": "local" },
        "storage": { "backend": "memory" },
        "logging": { "level": "error" },
        "auth": auth,
    });
    let path = directory.join("config.json");
    fs::write(&path, config.to_string())?;
    Call::new("/usr/bin/notary-server", directory)
        .args(["-logf", "logfmt", "-config"])
        .args([&path])
        .background(&directory.join("log"))
}

fn log_of(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
