//! Files of PEM blocks that somebody hands in.

use pem::{Pem, PemError};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// Why a file is not taken for its PEM blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlocksError {
    /// A block that cannot be read, and why; never what is in it, which may be secret.
    #[error("its PEM is damaged: {0}")]
    Damaged(&'static str),
    /// Text after the last block.
    #[error("something follows its last PEM block")]
    TrailingText,
}

/// All blocks of a file; there may be none.
///
/// Text before a block is a comment. After the last one it is a sign of a file that was damaged or put together.
///
/// # Errors
/// [`BlocksError`]: no block is passed over in silence.
pub fn blocks(text: &[u8]) -> Result<Vec<Pem>, BlocksError> {
    let blocks = pem::parse_many(text).map_err(|error| BlocksError::Damaged(damage(&error)))?;
    let begun = text.windows(BEGIN.len()).filter(|window| *window == BEGIN).count();
    if begun != blocks.len() {
        return Err(BlocksError::Damaged("a block has no end"));
    }
    if follows_its_end(text) { Err(BlocksError::TrailingText) } else { Ok(blocks) }
}

/// What pem says repeats lines of the file.
fn damage(error: &PemError) -> &'static str {
    match error {
        PemError::MismatchedTags(..) => "a block does not end as it begins",
        PemError::InvalidHeader(_) => "a header of a block has no colon",
        PemError::InvalidData(_) => "a block is not base64",
        PemError::NotUtf8(_) => "a block is not text",
        PemError::MalformedFraming | PemError::MissingBeginTag | PemError::MissingEndTag | PemError::MissingData => {
            "a block is incomplete"
        }
    }
}

fn follows_its_end(text: &[u8]) -> bool {
    let Some(last) = text.windows(END.len()).rposition(|window| window == END) else { return false };
    let after = text.get(last..).unwrap_or_default().iter().skip_while(|byte| **byte != b'\n');
    after.into_iter().any(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_file_is_passed_over() {
        const ONE: &str = "-----BEGIN A-----\nAAAA\n-----END A-----\n";
        const TWO: &str = "-----BEGIN B-----\nx: y\n\nBBBB\n-----END B-----\n";
        let damaged = |why| Err(BlocksError::Damaged(why));
        let table = [
            (String::new(), Ok(vec![])),
            ("no block".to_owned(), Ok(vec![])),
            (ONE.trim_end().to_owned(), Ok(vec!["A"])),
            (format!("about A\n{ONE}\nabout B\n{TWO} \r\n\n"), Ok(vec!["A", "B"])),
            (ONE.replace('\n', "\r\n"), Ok(vec!["A"])),
            (format!("{ONE}junk"), Err(BlocksError::TrailingText)),
            (format!("{ONE}-----BEGIN B-----\n"), damaged("a block has no end")),
            ("-----BEGIN A-----\nAAAA\n".to_owned(), damaged("a block has no end")),
            (format!("-----BEGIN A-----\nAAAA\n{ONE}"), damaged("a block is not base64")),
            (ONE.replace("END A", "END B"), damaged("a block does not end as it begins")),
            (format!("-{ONE}{TWO}"), damaged("a block has no end")),
        ];
        for (text, wanted) in table {
            let found = blocks(text.as_bytes());
            let tags = found.as_ref().map(|found| found.iter().map(Pem::tag).collect()).map_err(Clone::clone);
            assert_eq!(tags, wanted, "{text}");
        }
    }

    #[test]
    fn an_error_repeats_nothing_of_the_file() {
        let secret = "c2VjcmV0";
        for text in [
            format!("-----BEGIN KEY-----\n{secret}\n\nAAAA\n-----END KEY-----\n"),
            format!("-----BEGIN KEY\n{secret}\n-----END KEY-----\n-----END KEY-----\n"),
            format!("-----BEGIN KEY-----\n{secret}!\n-----END KEY-----\n"),
        ] {
            let error = blocks(text.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(secret), "{error}");
        }
    }
}
