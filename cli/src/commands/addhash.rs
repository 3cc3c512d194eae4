//! `addhash`: stages a target of which only size and digests are known.

use clap::Args;
use signet_tuf::Hashes;

use super::{
    names::gun,
    target::{HowToStage, stage},
};
use crate::{context::Context, exit::CliError};

/// Adds a target to the trusted collection by its size and digests.
#[derive(Debug, Args)]
pub struct AddHashArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the target
    #[arg(value_name = "TARGET")]
    target: String,
    /// Size of the target's content in bytes: decimal, 0x, 0o or 0b
    #[arg(value_name = "BYTESIZE", allow_negative_numbers = true)]
    size: String,
    /// SHA-256 of the content, 64 hex digits
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// SHA-512 of the content, 128 hex digits
    #[arg(long, value_name = "HEX", required_unless_present = "sha256")]
    sha512: Option<String>,
    /// What both commands have.
    #[command(flatten)]
    how: HowToStage,
}

/// Runs `addhash`.
///
/// # Errors
/// [`CliError`] names the number, digest, file, name or role that cannot be used; nothing is staged then.
pub async fn run(context: &mut Context, args: AddHashArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let length = size(&args.size)?;
    let hashes = Hashes {
        sha256: args.sha256.as_deref().map(|hex| digest("sha256", hex)).transpose()?,
        sha512: args.sha512.as_deref().map(|hex| digest("sha512", hex)).transpose()?,
    };
    let used = match (&hashes.sha256, &hashes.sha512) {
        (Some(_), Some(_)) => "sha256, sha512",
        (Some(_), None) => "sha256",
        (None, _) => "sha512",
    };
    let name = &args.target;
    let said = format!("Addition of target \"{name}\" by {used} hash to repository \"{gun}\" staged for next publish.");
    stage(context, &gun, name, (length, hashes), args.how, &said).await
}

/// A size as Go's `ParseInt` reads it with base 0: decimal, `0x`, `0o` or `0`, `0b`, underscores between digits.
fn size(text: &str) -> Result<u64, CliError> {
    let refused = || {
        CliError::with_remedy(
            format!("{text:?} is not a size in bytes"),
            "give a whole number from 0 to 2^53, such as 1024 or 0x400; nothing was staged",
        )
    };
    let lower = text.to_ascii_lowercase();
    let (digits, radix, prefixed) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..), 16, true),
        [b'0', b'o', ..] => (lower.get(2..), 8, true),
        [b'0', b'b', ..] => (lower.get(2..), 2, true),
        [b'0', _, ..] => (lower.get(1..), 8, true),
        _ => (Some(lower.as_str()), 10, false),
    };
    let digits = digits.unwrap_or_default();
    // Go: an underscore may stand between two digits, or between the prefix and a digit
    let misplaced = digits.ends_with('_') || digits.contains("__") || (digits.starts_with('_') && !prefixed);
    let plain = digits.replace('_', "");
    if misplaced || plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refused());
    }
    u64::from_str_radix(&plain, radix).map_err(|_| refused())
}

fn digest<const N: usize>(algorithm: &str, hex: &str) -> Result<[u8; N], CliError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(hex, &mut bytes).map_err(|_| {
        CliError::with_remedy(
            format!("invalid {algorithm} hex contents provided: {} characters, {hex:?}", hex.chars().count()),
            format!("a {algorithm} digest has {} hex digits; nothing was staged", N.saturating_mul(2)),
        )
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{digest, size};

    #[test]
    fn a_size_is_read_as_go_does() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("0x10", Some(16)),
            ("0XfF", Some(255)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0b101", Some(5)),
            ("1_000", Some(1000)),
            ("0x_10", Some(16)),
            ("0_7", Some(7)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1k", None),
            ("09", None),
            ("0x", None),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_digest_of_the_wrong_length_is_refused() {
        assert!(digest::<32>("sha256", &"ab".repeat(32)).is_ok());
        for wrong in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"zz".repeat(32)] {
            let error = digest::<32>("sha256", wrong).unwrap_err();
            assert!(error.to_string().contains("sha256") && error.remedy().unwrap().contains("64"), "{error}");
        }
    }
}
