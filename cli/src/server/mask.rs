//! What a server may repeat of our secrets, and cutting it out of its words.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Url;
use zeroize::Zeroizing;

use super::token;
use crate::credentials::{Credential, Secret};

/// What stands in a secret's place.
const CUT: &str = "[secret]";
/// Shorter ones are no signatures of tokens, and may be words.
const SIGNATURE: usize = 20;

/// Everything that is not to be shown, however it is spelled; the longest first.
#[derive(Default)]
pub(super) struct Mask(Vec<Zeroizing<String>>);

impl Mask {
    /// Covers what shows who we are.
    pub(super) fn credential(self, credential: &Credential) -> Self {
        match &credential.secret {
            Secret::Password { user, password } => {
                let pair = Zeroizing::new(format!("{user}:{}", password.expose_text()));
                let header = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                self.text(password.expose_text()).text(header.trim_end_matches('='))
            }
            Secret::IdentityToken(token) => self.text(token.expose_text()),
        }
    }

    /// Covers a token, and its signature, which is enough of it.
    pub(super) fn token(self, token: &str) -> Self {
        let signature = token.rsplit('.').next().filter(|signature| signature.len() > SIGNATURE);
        self.text(token).text(signature.unwrap_or_default())
    }

    fn text(mut self, secret: &str) -> Self {
        if !secret.trim().is_empty() {
            self.0.extend(spellings(secret));
            self.0.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
            self.0.dedup();
        }
        self
    }

    /// `text` without them.
    pub(super) fn over(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), CUT))
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(CUT)
    }
}

/// As it is, in a form, in a query, in a URL before the host, in JSON, and with white space as we show it.
fn spellings(secret: &str) -> impl Iterator<Item = Zeroizing<String>> {
    let form = token::encoded(std::iter::once(("", secret))).trim_start_matches('=').to_owned();
    let query = form.replace('+', "%20");
    let before_host = Url::parse("http://host/").ok().and_then(|mut url| {
        url.set_password(Some(secret)).ok()?;
        url.password().map(str::to_owned)
    });
    let json = serde_json::to_string(secret).ok().map(|quoted| {
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.unwrap_or_default().to_owned()
    });
    let words = secret.split_whitespace().collect::<Vec<_>>().join(" ");
    let all = [Some(secret.to_owned()), Some(form), Some(query), before_host, json, Some(words)];
    all.into_iter().flatten().filter(|text| !text.is_empty()).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::secret::Passphrase;

    fn secret(text: &str) -> Passphrase {
        Passphrase::from(SecretString::from(text))
    }

    #[test]
    fn a_secret_that_is_repeated_to_us_is_not_shown_however_it_is_spelled() {
        let password = Secret::Password { user: "al".into(), password: secret("p\"w  &é") };
        let mask = Mask::default().credential(&Credential { secret: password, source: String::new() });
        for said in
            ["p\"w  &é", "p%22w++%26%C3%A9", "p%22w%20%20%26%C3%A9", "p%22w%20%20&%C3%A9", "p\\\"w  &é", "p\"w &é"]
        {
            assert_eq!(mask.over(&format!("no {said}.")), "no [secret].", "{said}");
        }
        let header = STANDARD.encode("al:p\"w  &é");
        assert!(!mask.over(&format!("Basic {header}")).contains(header.trim_end_matches('=')));
        assert_eq!(format!("{mask:?}"), CUT);
    }

    #[test]
    fn a_token_is_cut_and_so_is_its_signature() {
        let mask = Mask::default().token("aGVhZA.Ym9keQ.c2lnbmF0dXJlIG9mIGEgdG9rZW4");
        assert_eq!(mask.over("bad aGVhZA.Ym9keQ.c2lnbmF0dXJlIG9mIGEgdG9rZW4"), "bad [secret]");
        assert_eq!(mask.over("bad signature c2lnbmF0dXJlIG9mIGEgdG9rZW4"), "bad signature [secret]");
        let identity = Credential { secret: Secret::IdentityToken(secret("refresh")), source: String::new() };
        assert_eq!(Mask::default().credential(&identity).over("refresh it"), "[secret] it");
        assert_eq!(Mask::default().token("").over("as it is"), "as it is");
    }
}
