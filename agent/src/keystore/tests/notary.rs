//! Key files, both ways between us and the real `notary`, and from OpenSSL.

use std::fs;
use std::path::Path;
use std::process::Command;

use signet_tuf::{Algorithm, Gun};

use super::{connection, only_file, permit, run, scope, secret, start, succeed};
use crate::keystore::{KeyInfo, KeystoreError, Keystores, PlaceState, TrustDir};

const PASSPHRASE: &str = "correct horse";

/// The real client, with one passphrase for every role.
fn notary(dir: &Path, passphrase: &str, arguments: &[&str]) -> Command {
    let mut command = run("notary", [Path::new("-d"), dir]);
    command.args(arguments).env_clear().env("HOME", dir).env("PATH", "/usr/bin:/bin");
    for role in ["ROOT", "TARGETS", "SNAPSHOT", "DELEGATION"] {
        command.env(format!("NOTARY_{role}_PASSPHRASE"), passphrase);
    }
    command
}

async fn only_key(keystores: &Keystores, dir: &TrustDir) -> KeyInfo {
    let listing = keystores.list(Some(dir), &connection()).await;
    assert_eq!((listing.keys.len(), listing.warnings.len()), (1, 0), "{listing:?}");
    listing.keys[0].clone()
}

/// Unlocks the only key of a trust directory and signs with it.
async fn assert_it_signs(keystores: &Keystores, dir: &TrustDir, passphrase: &str) -> KeyInfo {
    let id = only_key(keystores, dir).await.key_id.to_string();
    let connection = connection();
    let wrong = keystores.unlock_file(dir, &id, secret("wrong"), scope(&connection)).await;
    assert!(matches!(wrong, Err(KeystoreError::SecretIncorrect { .. })), "{wrong:?}");
    let place = keystores.unlock_file(dir, &id, secret(passphrase), scope(&connection)).await.unwrap();
    let key = only_key(keystores, dir).await;
    let public = key.public.as_ref().unwrap();
    let signature = keystores.sign(&permit(public, b"message"), &place, Some(dir), &connection).await.unwrap();
    public.verify(public.method(), b"message", &signature).unwrap();
    key
}

#[tokio::test]
async fn a_key_made_by_notary_signs_here() {
    let home = tempfile::tempdir().unwrap();
    succeed(notary(home.path(), PASSPHRASE, &["key", "generate", "ecdsa", "-r", "targets/releases"]));
    let dir = TrustDir::open(home.path()).unwrap();
    let keystores = start(&[]).unwrap();
    let locked = only_key(&keystores, &dir).await;
    assert_eq!((locked.role.as_deref(), locked.places[0].1), (Some("targets/releases"), PlaceState::Locked));
    assert!(locked.public.is_none() && locked.name.is_none());
    let key = assert_it_signs(&keystores, &dir, PASSPHRASE).await;
    assert_eq!(key.key_id, locked.key_id);
}

#[tokio::test]
async fn keys_imported_by_notary_sign_here() {
    let algorithms: [(&[&str], Algorithm); 4] = [
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], Algorithm::EcdsaP256),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], Algorithm::EcdsaP384),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], Algorithm::EcdsaP521),
        (&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], Algorithm::Rsa(2048)),
    ];
    for (arguments, algorithm) in algorithms {
        let home = tempfile::tempdir().unwrap();
        let plain = home.path().join("plain.pem");
        let plain = plain.to_str().unwrap();
        succeed(run("openssl", ["genpkey", "-out", plain].iter().chain(arguments)));
        let import = ["key", "import", plain, "-r", "targets", "--gun", "example.com/x"];
        succeed(notary(home.path(), PASSPHRASE, &import));
        let dir = TrustDir::open(home.path()).unwrap();
        let key = assert_it_signs(&start(&[]).unwrap(), &dir, PASSPHRASE).await;
        assert_eq!(key.public.unwrap().algorithm(), algorithm);
        assert_eq!((key.role.as_deref(), key.gun.as_deref()), (Some("targets"), Some("example.com/x")));
    }
}

#[tokio::test]
async fn notary_opens_the_keys_made_here() {
    let algorithms =
        [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::EcdsaP521, Algorithm::Rsa(2048), Algorithm::Ed25519];
    for algorithm in algorithms {
        let home = tempfile::tempdir().unwrap();
        let dir = TrustDir::open(home.path()).unwrap();
        let keystores = start(&[]).unwrap();
        let maker = connection();
        let gun: Gun = "example.com/x".parse().unwrap();
        let made = keystores.generate_in_file(&dir, algorithm, "targets", Some(&gun), &maker).await.unwrap();
        let id = made.key_id.to_string();
        keystores.set_passphrase(&dir, &id, None, secret(PASSPHRASE), &maker).await.unwrap();

        let list = succeed(notary(home.path(), PASSPHRASE, &["key", "list"]));
        let line = list.lines().find(|line| line.contains(&id)).unwrap();
        assert!(line.starts_with("targets") && line.contains("example.com/x"), "{line}");
        // Notary decrypts the key, checks that it is this one, and writes it anew.
        let before = fs::read(only_file(&home.path().join("private"))).unwrap();
        let mut wrong = notary(home.path(), "wrong", &["key", "passwd", &id]);
        assert!(!wrong.output().unwrap().status.success(), "{algorithm}");
        succeed(notary(home.path(), PASSPHRASE, &["key", "passwd", &id]));
        let after = fs::read(only_file(&home.path().join("private"))).unwrap();
        assert_ne!(before, after);
        assert_eq!(before.len(), after.len(), "{algorithm}: notary writes the same structure");
        let key = assert_it_signs(&start(&[]).unwrap(), &dir, PASSPHRASE).await;
        assert_eq!(key.name, made.name);
    }
}

#[tokio::test]
async fn what_notary_does_meanwhile_is_seen() {
    let home = tempfile::tempdir().unwrap();
    let dir = TrustDir::open(home.path()).unwrap();
    let keystores = start(&[]).unwrap();
    assert_eq!(keystores.list(Some(&dir), &connection()).await.keys.len(), 0);
    succeed(notary(home.path(), PASSPHRASE, &["key", "generate", "ecdsa", "-r", "targets"]));
    let key = assert_it_signs(&keystores, &dir, PASSPHRASE).await;
    let id = key.key_id.to_string();
    let connection = connection();
    let place = keystores.unlock_file(&dir, &id, secret(PASSPHRASE), scope(&connection)).await.unwrap();

    // A key that was removed signs no more, open or not.
    fs::remove_file(only_file(&home.path().join("private"))).unwrap();
    assert_eq!(keystores.list(Some(&dir), &connection).await.keys.len(), 0);
    let gone = keystores.sign(&permit(key.public.as_ref().unwrap(), b"message"), &place, Some(&dir), &connection).await;
    assert!(matches!(gone, Err(KeystoreError::UnknownKey { .. })), "{gone:?}");
}

#[tokio::test]
async fn keys_encrypted_by_openssl_sign_here() {
    let prfs = ["hmacWithSHA1", "hmacWithSHA224", "hmacWithSHA256", "hmacWithSHA384", "hmacWithSHA512"];
    let ciphers = ["aes-128-cbc", "aes-256-cbc"];
    let kinds: [&[&str]; 2] =
        [&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], &["-algorithm", "ED25519"]];
    let home = tempfile::tempdir().unwrap();
    let keystores = start(&[]).unwrap();
    let choices = prfs.iter().flat_map(|prf| ciphers.iter().map(move |cipher| (prf, cipher)));
    for (number, (prf, cipher)) in choices.enumerate() {
        let (plain, sealed) = (home.path().join("plain.pem"), home.path().join("sealed.pem"));
        let (plain, sealed) = (plain.to_str().unwrap(), sealed.to_str().unwrap());
        succeed(run("openssl", ["genpkey", "-out", plain].iter().chain(kinds[number % 2])));
        let password = format!("pass:{PASSPHRASE}");
        let arguments = ["pkcs8", "-topk8", "-in", plain, "-out", sealed, "-passout", &password];
        succeed(run("openssl", arguments.iter().chain(&["-v2", cipher, "-v2prf", prf])));

        let dir = TrustDir::open(&home.path().join(format!("{prf}-{cipher}"))).unwrap();
        install(&dir, sealed, plain);
        let key = assert_it_signs(&keystores, &dir, PASSPHRASE).await;
        assert_eq!(key.role, None);

        // Changing its passphrase makes it a file that notary opens too.
        let (id, owner) = (key.key_id.to_string(), connection());
        keystores.set_passphrase(&dir, &id, Some(secret(PASSPHRASE)), secret("another one"), &owner).await.unwrap();
        succeed(notary(dir.path(), "another one", &["key", "passwd", &id]));
    }
}

#[tokio::test]
async fn a_plain_key_is_ready_until_it_is_given_a_passphrase() {
    let home = tempfile::tempdir().unwrap();
    let plain = home.path().join("plain.pem");
    let plain = plain.to_str().unwrap();
    succeed(run("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", plain]));
    let dir = TrustDir::open(&home.path().join("trust")).unwrap();
    install(&dir, plain, plain);
    let keystores = start(&[]).unwrap();
    let owner = connection();
    let key = only_key(&keystores, &dir).await;
    assert_eq!(key.places[0].1, PlaceState::Ready);
    let public = public_of(plain);
    let place = key.places[0].0.clone();
    keystores.sign(&permit(&public, b"message"), &place, Some(&dir), &owner).await.unwrap();
    let id = key.key_id.to_string();
    keystores.set_passphrase(&dir, &id, None, secret(PASSPHRASE), &owner).await.unwrap();
    assert_eq!(only_key(&keystores, &dir).await.places[0].1, PlaceState::Locked);
    assert_it_signs(&keystores, &dir, PASSPHRASE).await;
}

fn public_of(private: &str) -> signet_tuf::PublicKey {
    let output = run("openssl", ["pkey", "-in", private, "-pubout", "-outform", "DER"]).output().unwrap();
    signet_tuf::PublicKey::from_spki(&output.stdout).unwrap()
}

/// Puts a private key where Notary would, under the ID of the public key of `plain`.
pub(super) fn install(dir: &TrustDir, file: &str, plain: &str) {
    let id = public_of(plain).canonical_id();
    let to = dir.path().join("private").join(format!("{id}.key"));
    fs::copy(file, to).unwrap();
}
