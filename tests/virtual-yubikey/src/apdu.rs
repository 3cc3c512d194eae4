//! Command and response APDUs. ISO 7816-4 section 5.

/// A status word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    pub(crate) const OK: Self = Self(0x9000);
    pub(crate) const WRONG_LENGTH: Self = Self(0x6700);
    pub(crate) const SECURITY_NOT_SATISFIED: Self = Self(0x6982);
    pub(crate) const BLOCKED: Self = Self(0x6983);
    pub(crate) const CONDITIONS: Self = Self(0x6985);
    pub(crate) const WRONG_DATA: Self = Self(0x6a80);
    pub(crate) const FILE_NOT_FOUND: Self = Self(0x6a82);
    pub(crate) const WRONG_P1_P2: Self = Self(0x6a86);
    pub(crate) const REFERENCE_NOT_FOUND: Self = Self(0x6a88);
    pub(crate) const WRONG_SLOT: Self = Self(0x6b00);
    pub(crate) const UNKNOWN_INSTRUCTION: Self = Self(0x6d00);

    /// So many tries are left.
    pub(crate) fn tries_left(left: u8) -> Self {
        Self(0x63c0 | u16::from(left.min(15)))
    }

    /// So many bytes wait for GET RESPONSE; 0 stands for 256 or more.
    pub(crate) fn more(bytes: usize) -> Self {
        Self(0x6100 | u16::from(u8::try_from(bytes).unwrap_or(0)))
    }
}

/// A command, its data whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// More of the data follows in another APDU.
    pub(crate) chained: bool,
    pub(crate) instruction: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    pub(crate) data: Vec<u8>,
    /// How many bytes the answer may have.
    pub(crate) limit: usize,
}

impl Command {
    /// Reads a short or an extended APDU.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let [class, instruction, p1, p2, body @ ..] = bytes else { return None };
        let (data, limit) = match body {
            [] => (&[][..], SHORT),
            [limit] => (&[][..], short_limit(*limit)),
            [0, high, low] => (&[][..], extended_limit([*high, *low])),
            [0, high, low, rest @ ..] => {
                let (data, limit) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
                match limit {
                    [] => (data, SHORT),
                    [high, low] => (data, extended_limit([*high, *low])),
                    _ => return None,
                }
            }
            [length, rest @ ..] => {
                let (data, limit) = rest.split_at_checked(usize::from(*length))?;
                match limit {
                    [] => (data, SHORT),
                    [limit] => (data, short_limit(*limit)),
                    _ => return None,
                }
            }
        };
        let (chained, instruction) = (class & 0x10 != 0, *instruction);
        Some(Self { chained, instruction, p1: *p1, p2: *p2, data: data.to_vec(), limit })
    }

    pub(crate) fn head(&self) -> [u8; 3] {
        [self.instruction, self.p1, self.p2]
    }
}

const SHORT: usize = 256;

fn short_limit(byte: u8) -> usize {
    if byte == 0 { SHORT } else { usize::from(byte) }
}

fn extended_limit(bytes: [u8; 2]) -> usize {
    match u16::from_be_bytes(bytes) {
        0 => 1 << 16,
        limit => usize::from(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn every_case_is_read() {
        for (bytes, data, limit) in [
            (&[0, 0xcb, 0x3f, 0xff][..], &[][..], 256),
            (&[0, 0xcb, 0x3f, 0xff, 0], &[], 256),
            (&[0, 0xcb, 0x3f, 0xff, 7], &[], 7),
            (&[0, 0xcb, 0x3f, 0xff, 2, 1, 2], &[1, 2], 256),
            (&[0, 0xcb, 0x3f, 0xff, 2, 1, 2, 9], &[1, 2], 9),
            (&[0, 0xcb, 0x3f, 0xff, 0, 0, 0], &[], 65536),
            (&[0, 0xcb, 0x3f, 0xff, 0, 0, 2, 1, 2], &[1, 2], 256),
            (&[0, 0xcb, 0x3f, 0xff, 0, 0, 2, 1, 2, 1, 0], &[1, 2], 256),
        ] {
            let command = Command::parse(bytes).unwrap();
            assert_eq!((command.data.as_slice(), command.limit), (data, limit), "{bytes:?}");
        }
        for bytes in [&[0, 0xcb, 0x3f][..], &[0, 0xcb, 0x3f, 0xff, 3, 1, 2], &[0, 0xcb, 0x3f, 0xff, 1, 1, 2, 3]] {
            assert_eq!(Command::parse(bytes), None, "{bytes:?}");
        }
    }
}
