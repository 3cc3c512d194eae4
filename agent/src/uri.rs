//! `pkcs11:` URIs (RFC 7512), as far as they select a token or name a key.

use std::fmt;
use std::str::FromStr;

/// The path attributes of a `pkcs11:` URI that select a token. What is not given matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Uri {
    text: String,
    /// `CK_TOKEN_INFO.label`.
    pub token: Option<String>,
    /// `CK_TOKEN_INFO.serialNumber`.
    pub serial: Option<String>,
    /// `CK_TOKEN_INFO.manufacturerID`.
    pub manufacturer: Option<String>,
    /// `CK_TOKEN_INFO.model`.
    pub model: Option<String>,
}

/// What is wrong with a `pkcs11:` URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or none.
    #[error("`{0}` does not start with `pkcs11:`")]
    Scheme(String),
    /// An attribute that does not select a token.
    #[error("attribute `{0}` of a pkcs11 URI is not understood: use token, serial, manufacturer or model")]
    Attribute(String),
    /// An attribute twice.
    #[error("attribute `{0}` stands twice in a pkcs11 URI")]
    Repeated(String),
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the value of attribute `{0}` in a pkcs11 URI is not percent-encoded UTF-8")]
    Encoding(String),
    /// Nothing that would select a token.
    #[error("the pkcs11 URI `{0}` selects no token: give token or serial")]
    Empty(String),
}

impl Pkcs11Uri {
    /// The text, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pkcs11Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let path = text.strip_prefix("pkcs11:").ok_or_else(|| UriError::Scheme(text.to_owned()))?;
        let mut uri = Self { text: text.to_owned(), token: None, serial: None, manufacturer: None, model: None };
        // RFC 7512 §2.3: query attributes (pin-source, module-path) follow `?`; none of them selects a token.
        if let Some((_, query)) = path.split_once('?') {
            return Err(UriError::Attribute(query.split(['=', '&']).next().unwrap_or(query).to_owned()));
        }
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let field = match name {
                "token" => &mut uri.token,
                "serial" => &mut uri.serial,
                "manufacturer" => &mut uri.manufacturer,
                "model" => &mut uri.model,
                _ => return Err(UriError::Attribute(name.to_owned())),
            };
            let value = percent_decode(value).ok_or_else(|| UriError::Encoding(name.to_owned()))?;
            if field.replace(value).is_some() {
                return Err(UriError::Repeated(name.to_owned()));
            }
        }
        if uri.token.is_none() && uri.serial.is_none() {
            return Err(UriError::Empty(text.to_owned()));
        }
        Ok(uri)
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let mut decoded = [0];
            hex::decode_to_slice(digits, &mut decoded).ok()?;
            bytes.extend(decoded);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The URI of one key on one token.
pub(crate) fn of_key(token: &str, serial: &str, label: &str, id: &[u8]) -> String {
    let mut uri = format!("pkcs11:token={};serial={}", percent_encode(token), percent_encode(serial));
    if !label.is_empty() {
        uri.push_str(";object=");
        uri.push_str(&percent_encode(label));
    }
    if !id.is_empty() {
        // RFC 7512 §2.3: the whole id is percent-encoded.
        uri.push_str(";id=");
        for byte in id {
            uri.push_str(&format!("%{byte:02x}"));
        }
    }
    uri
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Pkcs11Uri, UriError, of_key};

    #[test]
    fn a_uri_selects_by_decoded_attributes() {
        let uri: Pkcs11Uri =
            "pkcs11:token=My%20Token;serial=0a1b;manufacturer=SoftHSM%20project;model=SoftHSM%20v2".parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("My Token"));
        assert_eq!(uri.serial.as_deref(), Some("0a1b"));
        assert_eq!(uri.manufacturer.as_deref(), Some("SoftHSM project"));
        assert_eq!(uri.model.as_deref(), Some("SoftHSM v2"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let cases: &[(&str, UriError)] = &[
            ("token=a", UriError::Scheme("token=a".into())),
            ("pkcs11:token=a;slot-id=1", UriError::Attribute("slot-id".into())),
            ("pkcs11:token=a?pin-value=1", UriError::Attribute("pin-value".into())),
            ("pkcs11:token=a;token=b", UriError::Repeated("token".into())),
            ("pkcs11:token=%4", UriError::Encoding("token".into())),
            ("pkcs11:serial=%ff", UriError::Encoding("serial".into())),
            ("pkcs11:model=x", UriError::Empty("pkcs11:model=x".into())),
        ];
        for (text, wanted) in cases {
            assert_eq!(text.parse::<Pkcs11Uri>().as_ref(), Err(wanted), "{text}");
        }
    }

    #[test]
    fn a_key_uri_is_encoded() {
        assert_eq!(
            of_key("a b", "01", "root example.com/x", &[0, 255]),
            "pkcs11:token=a%20b;serial=01;object=root%20example.com%2Fx;id=%00%ff"
        );
    }
}
