//! `verify`: whether some bytes are what the collection says they are.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use signet_tuf::{Hashes, Target};

use super::{
    list::{load, one},
    names::{gun, subtree_roles},
};
use crate::{
    context::Context,
    exit::{CliError, Face},
};

/// Verifies if the content is included in the remote trusted collection.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the target
    #[arg(value_name = "TARGET")]
    target: String,
    /// Delegation roles to look in, in order of priority
    #[arg(short = 'r', long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    /// Read from a file, instead of STDIN
    #[arg(short = 'i', long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write to a file, instead of STDOUT
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// No output except for errors
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Runs `verify`. Only verified bytes are echoed.
///
/// # Errors
/// [`CliError`] if the bytes or the collection cannot be trusted.
pub async fn run(context: &mut Context, args: VerifyArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = subtree_roles(&args.roles)?;
    let payload = payload(args.input.as_deref())?;
    let trusted = load(context, &gun).await.map_err(|error| in_face(context.face, &args.target, error))?;
    let found = one(context, &trusted, &roles, &args.target).ok_or_else(|| {
        let name = &args.target;
        CliError::Untrusted(format!("error retrieving target by name:{name}, error:No valid trust data for {name}"))
    })?;
    check(&args.target, &found.target, &payload)?;
    match (args.quiet, &args.output) {
        (true, _) => Ok(()),
        (false, Some(path)) => write_private(path, &payload)
            .map_err(|error| CliError::failed(format!("cannot write {}: {error}", path.display()))),
        (false, None) => context.out.bytes(&payload),
    }
}

/// Notary 0.7 says of every failure that it was about the target.
fn in_face(face: Face, name: &str, error: CliError) -> CliError {
    match face {
        Face::Notary => error.as_notary_after(&format!("error retrieving target by name:{name}, error:")),
        Face::Signet => error,
    }
}

fn payload(input: Option<&Path>) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let (name, read) = match input {
        Some(path) => (path.display().to_string(), std::fs::read(path).map(|content| bytes = content)),
        None => ("standard input".into(), io::stdin().lock().read_to_end(&mut bytes).map(|_length| ())),
    };
    read.map_err(|error| CliError::failed(format!("cannot read {name}: {error}")))?;
    Ok(bytes)
}

fn check(name: &str, target: &Target, payload: &[u8]) -> Result<(), CliError> {
    let found = Hashes::of(payload);
    let expected = &target.hashes;
    let differs = |algorithm: &str, expected: String| {
        let problem = format!("{algorithm} checksum for {name} did not match: expected {expected}");
        Err(CliError::Untrusted(format!("data not present in the trusted collection, {problem}")))
    };
    if let Some(sha256) = expected.sha256.filter(|_| expected.sha256 != found.sha256) {
        return differs("sha256", hex::encode(sha256));
    }
    if let Some(sha512) = expected.sha512.filter(|_| expected.sha512 != found.sha512) {
        return differs("sha512", hex::encode(sha512));
    }
    Ok(())
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_must_match() {
        let good = Hashes::of(b"x");
        let table = [
            (good.clone(), true),
            (Hashes { sha512: None, ..good.clone() }, true),
            (Hashes { sha256: None, ..good.clone() }, true),
            (Hashes { sha256: Some([0; 32]), ..good.clone() }, false),
            (Hashes { sha512: Some([0; 64]), ..good }, false),
        ];
        for (hashes, matches) in table {
            let target = Target { length: 1, hashes, custom: None };
            assert_eq!(check("v1", &target, b"x").is_ok(), matches, "{target:?}");
        }
    }
}
