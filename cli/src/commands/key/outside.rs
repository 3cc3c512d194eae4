//! Keys that are made for somebody else: two PEM files, nothing in the trust directory.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use signet_proto::v1;
use uuid::Uuid;

use crate::{
    commands::new_file::{OWNERS, failed, write_new},
    context::Context,
    exit::CliError,
};

/// Makes a key and writes PREFIX-key.pem, encrypted, and PREFIX.pem, the public key, both for their owner alone.
pub(super) async fn generate(
    context: &mut Context,
    role: &str,
    algorithm: &str,
    prefix: &Path,
) -> Result<(), CliError> {
    let (private, public) = (with_suffix(prefix, "-key.pem"), with_suffix(prefix, ".pem"));
    for path in [&private, &public] {
        if fs::symlink_metadata(path).is_ok() {
            let message = format!("{} exists already and is not overwritten", path.display());
            return Err(CliError::with_remedy(message, "give another prefix with -o"));
        }
    }
    let scratch = Scratch::beside(&private).map_err(|error| failed(&private, &error))?;
    let key = context.agent.generate_in(&scratch.0, role, algorithm).await?;
    let made = scratch.0.join("private").join(format!("{}.key", key.key_id));
    let text = fs::read(&made).map_err(|error| failed(&made, &error))?;
    write_new(&private, &text, OWNERS).map_err(|error| failed(&private, &error))?;
    write_new(&public, public_pem(&key).as_bytes(), OWNERS).map_err(|error| failed(&public, &error))
}

/// A directory for us alone that ends with the command.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(path: &Path) -> io::Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = fs::canonicalize(parent)?;
        let scratch = parent.join(format!(".signet-{}", Uuid::new_v4()));
        fs::DirBuilder::new().mode(0o700).create(&scratch)?;
        Ok(Self(scratch))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // best effort: what is left over is a key that its owner alone can read, and encrypted
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Notary 0.7 puts the role into a header of the public key, too.
fn public_pem(key: &v1::Key) -> String {
    let body = STANDARD.encode(&key.spki);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let role = &key.role;
    format!("-----BEGIN PUBLIC KEY-----\nrole: {role}\n\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
