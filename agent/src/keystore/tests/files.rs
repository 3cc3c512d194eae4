//! Key files: what is refused, what is never overwritten, and what a crash leaves.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use signet_tuf::Algorithm;

use super::{connection, only_file, permit, scope, secret, start};
use crate::keystore::{KeyInfo, KeystoreError, Keystores, Place, PlaceState, TrustDir};

struct Desk {
    home: tempfile::TempDir,
    dir: TrustDir,
    keystores: Keystores,
}

impl Desk {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = TrustDir::open(&home.path().join("trust")).unwrap();
        Self { home, dir, keystores: start(&[]).unwrap() }
    }

    fn private(&self) -> PathBuf {
        self.dir.path().join("private")
    }

    async fn key(&self) -> KeyInfo {
        let maker = connection();
        let made =
            self.keystores.generate_in_file(&self.dir, Algorithm::EcdsaP256, "root", None, &maker).await.unwrap();
        let id = made.key_id.to_string();
        self.keystores.set_passphrase(&self.dir, &id, None, secret("secret"), &maker).await.unwrap().0
    }

    async fn unlock(&self, key: &KeyInfo) -> Result<Place, KeystoreError> {
        let id = key.key_id.to_string();
        self.keystores.unlock_file(&self.dir, &id, secret("secret"), scope(&connection())).await
    }
}

#[tokio::test]
async fn a_generated_key_is_its_connection_s_until_it_is_written() {
    let desk = Desk::new();
    let (maker, other) = (connection(), connection());
    let made = desk.keystores.generate_in_file(&desk.dir, Algorithm::EcdsaP256, "root", None, &maker).await.unwrap();
    assert_eq!(fs::read_dir(desk.private()).unwrap().count(), 0);
    assert_eq!(desk.keystores.list(Some(&desk.dir), &maker).await.keys.len(), 1);
    assert_eq!(desk.keystores.list(Some(&desk.dir), &other).await.keys.len(), 0);
    let (public, place) = (made.public.clone().unwrap(), made.places[0].0.clone());
    desk.keystores.sign(&permit(&public, b"message"), &place, Some(&desk.dir), &maker).await.unwrap();
    let stranger = desk.keystores.sign(&permit(&public, b"message"), &place, Some(&desk.dir), &other).await;
    assert!(matches!(stranger, Err(KeystoreError::UnknownKey { .. })), "{stranger:?}");
    let id = made.key_id.to_string();
    let stolen = desk.keystores.set_passphrase(&desk.dir, &id, None, secret("mine"), &other).await;
    assert!(matches!(stolen, Err(KeystoreError::UnknownKey { .. })), "{stolen:?}");

    let (written, _) = desk.keystores.set_passphrase(&desk.dir, &id, None, secret("secret"), &maker).await.unwrap();
    assert_eq!(written.places[0].1, PlaceState::Ready);
    let file = only_file(&desk.private());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Place::File(file), place);
    assert_eq!(desk.keystores.list(Some(&desk.dir), &other).await.keys[0].places[0].1, PlaceState::Locked);
}

#[tokio::test]
async fn a_key_file_is_never_overwritten() {
    let desk = Desk::new();
    let maker = connection();
    let made = desk.keystores.generate_in_file(&desk.dir, Algorithm::EcdsaP256, "root", None, &maker).await.unwrap();
    let id = made.key_id.to_string();
    let file = desk.private().join(format!("{id}.key"));
    fs::write(&file, "somebody else's").unwrap();
    let refused = desk.keystores.set_passphrase(&desk.dir, &id, None, secret("secret"), &maker).await;
    assert!(matches!(refused, Err(KeystoreError::KeyExists { .. })), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody else's");
    assert_eq!(only_file(&desk.private()), file, "no temporary file stays");

    fs::remove_file(&file).unwrap();
    desk.keystores.set_passphrase(&desk.dir, &id, None, secret("secret"), &maker).await.unwrap();
}

#[tokio::test]
async fn a_passphrase_is_changed_by_who_knows_it() {
    let desk = Desk::new();
    let key = desk.key().await;
    let (id, owner) = (key.key_id.to_string(), connection());
    let change = async |old: Option<&str>, new: &str| {
        desk.keystores.set_passphrase(&desk.dir, &id, old.map(secret), secret(new), &owner).await
    };
    let before = fs::read(only_file(&desk.private())).unwrap();
    assert!(matches!(change(None, "new").await, Err(KeystoreError::Locked { .. })));
    assert!(matches!(change(Some("wrong"), "new").await, Err(KeystoreError::SecretIncorrect { .. })));
    assert!(matches!(change(Some("secret"), "").await, Err(KeystoreError::NotSupported { .. })));
    assert_eq!(fs::read(only_file(&desk.private())).unwrap(), before);

    let changed = change(Some("secret"), "new").await.unwrap();
    assert_eq!((changed.0.places[0].1, changed.0.role.as_deref()), (PlaceState::Ready, Some("root")));
    assert!(matches!(desk.unlock(&key).await, Err(KeystoreError::SecretIncorrect { .. })));
}

#[tokio::test]
async fn the_name_of_a_file_is_not_believed() {
    let desk = Desk::new();
    let (one, other) = (desk.key().await, desk.key().await);
    let path = |key: &KeyInfo| desk.private().join(format!("{}.key", key.key_id));
    fs::copy(path(&one), path(&other)).unwrap();
    let error = desk.unlock(&other).await.unwrap_err();
    assert!(matches!(&error, KeystoreError::CorruptKey { why, .. } if why.contains("its name is wrong")), "{error:?}");
    desk.unlock(&one).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_hides_nothing_else() {
    let desk = Desk::new();
    let good = desk.key().await;
    let broken = desk.key().await;
    let path = desk.private().join(format!("{}.key", broken.key_id));
    let linked = desk.private().join(format!("{}.key", "ab".repeat(32)));
    fs::write(desk.home.path().join("elsewhere"), "").unwrap();
    symlink(desk.home.path().join("elsewhere"), &linked).unwrap();
    let cases: [(&dyn Fn(), &str); 4] = [
        (&|| fs::write(&path, "nonsense").unwrap(), "not PEM"),
        (&|| fs::write(&path, "").unwrap(), "not PEM"),
        (
            &|| fs::write(&path, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n").unwrap(),
            "CERTIFICATE",
        ),
        (&|| fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap(), "0666"),
    ];
    for (harm, why) in cases {
        harm();
        let listing = desk.keystores.list(Some(&desk.dir), &connection()).await;
        assert_eq!(listing.keys.iter().map(|key| key.key_id).collect::<Vec<_>>(), [good.key_id]);
        assert_eq!(listing.warnings.len(), 2, "{listing:?}");
        assert!(listing.warnings.iter().any(|warning| warning.contains(why)), "{why}: {listing:?}");
        assert!(listing.warnings.iter().any(|warning| warning.contains("symbolic link")), "{listing:?}");
        let error = desk.unlock(&broken).await.unwrap_err();
        assert!(matches!(error, KeystoreError::CorruptKey { .. } | KeystoreError::UnsafePath { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn damage_inside_a_key_file_is_not_a_wrong_passphrase_or_a_signature() {
    let desk = Desk::new();
    let key = desk.key().await;
    let file = only_file(&desk.private());
    let text = fs::read_to_string(&file).unwrap();
    // Any one character of the content is another: nothing must open, and nothing must panic.
    let body = text.find("\n\n").unwrap() + 2..text.find("-----END").unwrap();
    for at in body.step_by(3).filter(|at| text.as_bytes()[*at] != b'\n') {
        let mut harmed = text.clone().into_bytes();
        harmed[at] = if harmed[at] == b'A' { b'B' } else { b'A' };
        fs::write(&file, harmed).unwrap();
        match desk.unlock(&key).await {
            Err(KeystoreError::CorruptKey { .. } | KeystoreError::SecretIncorrect { .. }) => {}
            // AES-CBC is not authenticated: a change that only touches what is not used may pass, but the key is the same.
            Ok(_) => {
                let listing = desk.keystores.list(Some(&desk.dir), &connection()).await;
                assert_eq!(listing.keys[0].name, key.name);
            }
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_key_of_another_folder_does_not_sign() {
    let desk = Desk::new();
    let key = desk.key().await;
    let owner = connection();
    let place =
        desk.keystores.unlock_file(&desk.dir, &key.key_id.to_string(), secret("secret"), scope(&owner)).await.unwrap();
    let other = TrustDir::open(&desk.home.path().join("other")).unwrap();
    let permit = permit(key.public.as_ref().unwrap(), b"message");
    for dir in [Some(&other), None] {
        let refused = desk.keystores.sign(&permit, &place, dir, &owner).await;
        assert!(matches!(refused, Err(KeystoreError::UnknownKey { .. })), "{refused:?}");
    }
    desk.keystores.sign(&permit, &place, Some(&desk.dir), &owner).await.unwrap();
}
