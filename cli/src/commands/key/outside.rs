//! Keys that are made for somebody else: two PEM files, nothing in the trust directory.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use signet_proto::v1;
use uuid::Uuid;

use crate::{context::Context, exit::CliError};

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
    write_new(&private, &text).map_err(|error| failed(&private, &error))?;
    write_new(&public, public_pem(&key).as_bytes()).map_err(|error| failed(&public, &error))
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

/// Writes a file that was not there, and waits until it is on the disk.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // half a key file is worse than none
        drop(fs::remove_file(path));
    }
    written
}

/// Says which file cannot be written.
pub(super) fn failed(path: &Path, error: &io::Error) -> CliError {
    let is_there = error.kind() == io::ErrorKind::AlreadyExists;
    let remedy = if is_there { "give another name with -o" } else { "check the path given with -o" };
    CliError::with_remedy(format!("cannot write {}: {error}", path.display()), remedy)
}
