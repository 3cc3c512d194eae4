//! The keystores on real software: SoftHSM2, p11-kit, the real `notary`, OpenSSL.
//!
//! A PKCS#11 module reads its environment once per process, so each test runs in a process of its own.

mod behaviour;
mod files;
mod loss;
mod notary;
mod pins;
mod speed;
mod tokens;
mod yubikeys;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signet_tuf::{Algorithm, PublicKey};

use super::{Attestations, KeyInfo, Keystores, Scope, StartError};
use crate::caller::{Connection, Principal};
use crate::config::{Serve, TokenConfig, TokenSelector, YubikeysConfig};
use crate::ledger::{Permit, Scheme};
use crate::secret::Secret;

pub(super) const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const HOME: &str = "SIGNET_KEYSTORE_TEST_HOME";
pub(super) const PIN: &str = "271828";
const SO_PIN: &str = "31415926";

/// Runs a test in a process of its own, with SoftHSM tokens of its own.
pub(super) fn alone<Body: AsyncFnOnce(Lab)>(body: Body) {
    match std::env::var_os(HOME) {
        Some(home) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(body(Lab { home: home.into() }));
        }
        None => start_over(std::any::type_name::<Body>()),
    }
}

/// Starts this test binary again for the one test that `body` is a part of.
fn start_over(body: &str) {
    let path = body.split_once("::").unwrap().1;
    let test = path.split("::{{closure}}").next().unwrap();
    let home = tempfile::tempdir().unwrap();
    let configuration = home.path().join("softhsm2.conf");
    let tokens = home.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    fs::write(&configuration, text).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(HOME, home.path())
        .env("SOFTHSM2_CONF", &configuration)
        .env("PCSCLITE_CSOCK_NAME", home.path().join("pcscd.comm"))
        .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", home.path().join("p11-kit.sock").display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{test}\n{said}\n{complained}");
    println!("{said}");
}

/// The surroundings of one test.
pub(super) struct Lab {
    home: PathBuf,
}

impl Lab {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    pub(super) fn make_token(&self, label: &str) {
        let arguments = ["--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN];
        succeed(run("softhsm2-util", arguments));
    }

    /// What `pkcs11-tool` sees, from another process.
    pub(super) fn flags(&self, label: &str) -> String {
        let output = succeed(run("pkcs11-tool", ["--module", SOFTHSM, "--list-token-slots"]));
        let token = output.split("Slot ").find(|slot| slot.contains(&format!(": {label}\n"))).unwrap();
        token.lines().find(|line| line.contains("token flags")).unwrap().to_owned()
    }

    pub(super) fn pkcs11_tool(&self, label: &str, arguments: &[&str]) -> String {
        self.pkcs11_tool_with(label, PIN, arguments)
    }

    pub(super) fn pkcs11_tool_with(&self, label: &str, pin: &str, arguments: &[&str]) -> String {
        let common = ["--module", SOFTHSM, "--token-label", label, "--login", "--pin", pin];
        succeed(run("pkcs11-tool", common.iter().chain(arguments)))
    }

    /// Sets a flag of CK_TOKEN_INFO as a real token does that counts its tries, which SoftHSM does not.
    pub(super) fn raise_flag(&self, label: &str, flag: u64) {
        // SoftHSM's object file: attribute CKA_OS_TOKENFLAGS, kind 2 (number), value.
        const TOKEN_FLAGS: [u8; 16] = [0, 0, 0, 0, 0x80, 0, 0x53, 0x4b, 0, 0, 0, 0, 0, 0, 0, 2];
        let folders = fs::read_dir(self.path("tokens")).unwrap();
        let objects = folders.map(|folder| folder.unwrap().path().join("token.object"));
        let (path, mut bytes) = objects
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .find(|(_, bytes)| bytes.windows(label.len()).any(|window| window == label.as_bytes()))
            .unwrap();
        let before = bytes.windows(16).position(|window| window == TOKEN_FLAGS).unwrap();
        let value = bytes[before..][16..].first_chunk_mut::<8>().unwrap();
        *value = (u64::from_be_bytes(*value) | flag).to_be_bytes();
        fs::write(path, bytes).unwrap();
    }
}

/// Keystores without YubiKeys.
pub(super) fn start(tokens: &[TokenConfig]) -> Result<Keystores, StartError> {
    Keystores::start(tokens, &YubikeysConfig { serve: Serve::None, listed: Vec::new() }, Attestations::default())
}

pub(super) fn token(label: &str) -> TokenConfig {
    token_of(SOFTHSM, label)
}

pub(super) fn token_of(module: &str, label: &str) -> TokenConfig {
    TokenConfig {
        module: module.into(),
        select: TokenSelector::Label(label.to_owned()),
        pin_file: None,
        sessions: 4,
        roles: Vec::new(),
    }
}

pub(super) fn connection() -> Arc<Connection> {
    Arc::new(Connection::new(Principal::from_uid(1000)))
}

pub(super) fn scope(connection: &Arc<Connection>) -> Scope {
    Scope::Connection(Arc::downgrade(connection))
}

pub(super) fn secret(text: &str) -> Secret {
    Secret::from(text.as_bytes().to_vec())
}

pub(super) fn permit(public: &PublicKey, message: &[u8]) -> Permit {
    let scheme = match public.algorithm() {
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => Scheme::EcdsaSha256,
        Algorithm::Rsa(_) => Scheme::RsaPssSha256,
        Algorithm::Ed25519 => Scheme::Ed25519,
    };
    Permit::for_test(public.name(), scheme, message)
}

/// Unlocks a token for a connection, and makes a P-256 key on it.
pub(super) async fn key_on(keystores: &Keystores, token: &str, connection: &Arc<Connection>) -> KeyInfo {
    keystores.unlock_token(token, secret(PIN), scope(connection), super::LastTry::Keep).await.unwrap();
    keystores.generate_on_token(token, Algorithm::EcdsaP256, ("targets", None), None, connection).await.unwrap()
}

/// Waits until something holds.
pub(super) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(20), "not within 20 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) fn run<Arguments>(program: &str, arguments: Arguments) -> Command
where
    Arguments: IntoIterator<Item: AsRef<OsStr>>,
{
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The output of a program that succeeds.
pub(super) fn succeed(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}\n{said}\n{}", String::from_utf8_lossy(&stderr));
    said
}

/// The only file in a folder.
pub(super) fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let file = files.next().unwrap();
    assert_eq!(files.next(), None);
    file
}
