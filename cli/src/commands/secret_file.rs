//! Files that hold a secret: one line, for their owner alone.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::process::geteuid;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::{
    exit::CliError,
    secret::{ManagementKey, Passphrase},
};

/// Mode bits of group and others.
const OTHERS: u32 = 0o077;
/// No secret is longer.
const MAX_BYTES: u64 = 4096;

/// The first line of a file, without its end; `-` is standard input. `what` names the secret.
///
/// # Errors
/// [`CliError`] if the file cannot be read, is somebody else's or for others, or its first line is empty.
pub(super) fn first_line(file: &Path, what: &str) -> Result<Passphrase, CliError> {
    let unreadable = |why: String| CliError::failed(format!("cannot read the {what} from {}: {why}", file.display()));
    let told = |error: io::Error| unreadable(error.to_string());
    let opened: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(file).map_err(told)?;
        check(file, &opened, what, told)?;
        Box::new(BufReader::new(opened))
    };
    let mut line = Zeroizing::new(String::new());
    opened.take(MAX_BYTES).read_line(&mut line).map_err(told)?;
    match line.lines().next() {
        Some(secret) if !secret.is_empty() => Ok(Passphrase::from(SecretString::from(secret))),
        _ => Err(unreadable("its first line is empty".to_owned())),
    }
}

/// The management key of a YubiKey, in hex.
///
/// # Errors
/// [`CliError`], also if it is none.
pub(super) fn management_key(file: &Path) -> Result<ManagementKey, CliError> {
    ManagementKey::from_hex(&first_line(file, "management key")?.trimmed()).ok_or_else(|| {
        let message = format!("the first line of {} is no management key", file.display());
        CliError::with_remedy(message, "it has 32, 48 or 64 hex digits, and nothing else")
    })
}

fn check(file: &Path, opened: &File, what: &str, told: impl Fn(io::Error) -> CliError) -> Result<(), CliError> {
    let about = opened.metadata().map_err(told)?;
    // a pipe or a terminal holds nothing that stays
    if !about.is_file() {
        return Ok(());
    }
    let file = file.display();
    if about.uid() != geteuid().as_raw() {
        let message = format!("{file} belongs to user {}, so no {what} is taken from it", about.uid());
        return Err(CliError::with_remedy(message, "give a file of your own"));
    }
    if about.mode() & OTHERS != 0 {
        let message = format!("others may read or write {file}, so no {what} is taken from it");
        return Err(CliError::with_remedy(message, format!("chmod 600 {file}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
        path::Path,
    };

    use super::{first_line, management_key};

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [("1234\n", Some("1234")), (" 12 34\r\nrest", Some(" 12 34")), ("", None), ("\n", None)]
        {
            fs::write(file.path(), text).unwrap();
            let pin = first_line(file.path(), "PIN");
            assert_eq!(
                pin.ok().map(|pin| pin.expose().to_vec()),
                expected.map(|pin| pin.as_bytes().to_vec()),
                "{text:?}"
            );
        }
        let error = first_line(Path::new("/nowhere/pin"), "PIN").unwrap_err().to_string();
        assert!(error.starts_with("cannot read the PIN from /nowhere/pin: "), "{error}");
    }

    #[test]
    fn a_secret_for_everybody_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1234").unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        let error = first_line(file.path(), "PIN").unwrap_err();
        assert!(error.to_string().ends_with("so no PIN is taken from it"), "{error}");
        assert!(error.remedy().unwrap().starts_with("chmod 600 "), "{error}");
    }

    #[test]
    fn a_management_key_is_one_line_of_hex() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, is_key) in [
            (format!("{}\n", "0a".repeat(24)), true),
            (format!(" {} \n", "0A".repeat(16)), true),
            (format!("{}\n", "0a".repeat(8)), false),
            ("not hex\n".to_owned(), false),
        ] {
            fs::write(file.path(), &text).unwrap();
            let read = management_key(file.path());
            assert_eq!(read.is_ok(), is_key, "{text}");
            if let Err(error) = read {
                assert!(error.remedy().unwrap().contains("32, 48 or 64 hex digits"));
                assert!(!error.to_string().contains(text.trim()), "{error}");
            }
        }
    }
}
