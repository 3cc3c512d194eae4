//! BER-TLV with tags of one byte. ISO 7816-4 section 6.3.

/// Writes one.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    wide(&[tag], value)
}

/// Writes one with a tag of several bytes.
pub(crate) fn wide(tag: &[u8], value: &[u8]) -> Vec<u8> {
    let [_, _, _, _, _, _, high, low] = (value.len() as u64).to_be_bytes();
    let length: &[u8] = match value.len() {
        0..=0x7f => &[low],
        0x80..=0xff => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [tag, length, value].concat()
}

/// Reads one: its tag, its value, and what follows.
pub(crate) fn read(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (length, tag, rest) = match bytes {
        [tag, 0x81, length, rest @ ..] => (usize::from(*length), tag, rest),
        [tag, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), tag, rest),
        [tag, length @ ..=0x7f, rest @ ..] => (usize::from(*length), tag, rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((*tag, value, rest))
}

/// The values of one template, by tag.
pub(crate) struct Template<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Template<'a> {
    pub(crate) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            let (tag, value, rest) = read(bytes)?;
            values.push((tag, value));
            bytes = rest;
        }
        Some(Self(values))
    }

    pub(crate) fn get(&self, tag: u8) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value)
    }

    /// A value of one byte.
    pub(crate) fn byte(&self, tag: u8) -> Option<u8> {
        match self.get(tag) {
            Some([byte]) => Some(*byte),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Template, read, tlv};

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 3063] {
            let value = vec![7; length];
            let written = [tlv(0x53, &value), vec![1]].concat();
            assert_eq!(read(&written), Some((0x53, value.as_slice(), &[1][..])), "{length}");
            assert_eq!(read(&written[..written.len() - 2]), None, "{length}");
        }
        let template = [tlv(1, &[2]), tlv(3, &[4, 5])].concat();
        let template = Template::read(&template).unwrap();
        assert_eq!((template.byte(1), template.byte(3), template.get(3)), (Some(2), None, Some(&[4, 5][..])));
    }
}
