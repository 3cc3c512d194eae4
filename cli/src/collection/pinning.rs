//! Which roots may be trusted: at first contact, when nothing vouches for a root yet, and whenever a root is followed to the next.

use signet_tuf::{Gun, PublicKey};
use time::OffsetDateTime;

use super::authority::Authorities;
use crate::config::{FirstUse, TrustPinning};

/// How a root was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contact {
    /// Nothing is known of the collection.
    First,
    /// The root before it vouches for it.
    Rotation,
}

/// What a root's certificates must be.
#[derive(Debug)]
pub(super) enum Pin<'a> {
    /// One of these, by their IDs as root.json lists them.
    Certificates(&'a [String]),
    /// Signed by one of these authorities.
    Authorities(Authorities),
    /// Nothing is asked.
    Anything,
}

impl Pin<'_> {
    /// Whether this key of a root counts.
    pub(super) fn accepts(&self, key: &PublicKey, now: OffsetDateTime) -> bool {
        match self {
            Self::Certificates(ids) => {
                let id = key.key_id().to_string();
                let is_pinned = ids.contains(&id);
                if !is_pinned {
                    tracing::warn!("trust_pinning.certs does not name the root certificate {id}");
                }
                is_pinned
            }
            Self::Authorities(authorities) => authorities
                .vouch_for(key, now)
                .inspect_err(|why| tracing::warn!("trust_pinning.ca: root certificate {}: {why}", key.key_id()))
                .is_ok(),
            Self::Anything => true,
        }
    }
}

/// What Notary's `trust_pinning` says of a collection: certificates of the GUN itself, then of the longest `prefix*`, then the
/// authorities of the longest prefix, then trust on first use.
///
/// # Errors
/// One sentence that says why no root may be trusted.
pub(super) fn pin<'a>(
    pinning: &'a TrustPinning,
    gun: &Gun,
    contact: Contact,
    now: OffsetDateTime,
) -> Result<Pin<'a>, String> {
    if let Some(pins) = pinned_certificates(pinning, gun) {
        return Ok(Pin::Certificates(pins));
    }
    let matching = pinning.ca.iter().filter(|(prefix, _)| gun.as_str().starts_with(prefix.as_str()));
    if let Some((_, path)) = matching.max_by_key(|(prefix, _)| prefix.len()) {
        return Authorities::read(path, now).map(Pin::Authorities);
    }
    match (contact, pinning.first_use) {
        (Contact::Rotation, _) | (Contact::First, FirstUse::Trust) => Ok(Pin::Anything),
        (Contact::First, FirstUse::Refuse) => Err("invalid trust pinning specified".into()),
    }
}

fn pinned_certificates<'a>(pinning: &'a TrustPinning, gun: &Gun) -> Option<&'a Vec<String>> {
    if let Some(pins) = pinning.certs.get(gun.as_str()) {
        return Some(pins);
    }
    let matching = pinning
        .certs
        .iter()
        .filter(|(name, _)| name.strip_suffix('*').is_some_and(|prefix| gun.as_str().starts_with(prefix)));
    matching.max_by_key(|(name, _)| name.len()).map(|(_, pins)| pins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned_ids(pinning: &TrustPinning, gun: &str, contact: Contact) -> Result<Option<String>, String> {
        let pin = pin(pinning, &Gun::parse(gun).unwrap(), contact, OffsetDateTime::UNIX_EPOCH)?;
        Ok(match pin {
            Pin::Certificates(ids) => Some(ids.join(" ")),
            Pin::Authorities(_) => Some("an authority".into()),
            Pin::Anything => None,
        })
    }

    #[test]
    fn the_most_exact_pin_decides() {
        let certs = [("a/b", "1"), ("a/*", "2"), ("a/bc*", "3"), ("*", "4")];
        let certs = certs.map(|(name, id)| (name.to_owned(), vec![id.to_owned()]));
        let pinning = TrustPinning { certs: certs.into(), ..TrustPinning::default() };
        for (gun, id) in [("a/b", "1"), ("a/c", "2"), ("a/bcd", "3"), ("b", "4")] {
            assert_eq!(pinned_ids(&pinning, gun, Contact::First).unwrap().as_deref(), Some(id), "{gun}");
        }
    }

    #[test]
    fn what_nothing_pins_is_trusted_at_first_unless_that_is_off() {
        for (first_use, contact, is_trusted) in [
            (FirstUse::Trust, Contact::First, true),
            (FirstUse::Refuse, Contact::First, false),
            (FirstUse::Refuse, Contact::Rotation, true),
        ] {
            let pinning = TrustPinning { first_use, ..TrustPinning::default() };
            let found = pinned_ids(&pinning, "a", contact);
            assert_eq!(found.is_ok(), is_trusted, "{first_use:?} {contact:?}");
        }
    }

    #[test]
    fn the_longest_authority_prefix_decides_and_a_certificate_comes_before_it() {
        let authority = |prefix: &str, file: &str| (prefix.to_owned(), file.into());
        let ca = [authority("a/", "/nowhere/short"), authority("a/b", "/nowhere/long")];
        let certs = [("a/b/c".to_owned(), vec!["1".to_owned()])];
        let pinning = TrustPinning { ca: ca.into(), certs: certs.into(), ..TrustPinning::default() };
        assert_eq!(pinned_ids(&pinning, "a/b/c", Contact::First).unwrap().as_deref(), Some("1"));
        // a file that cannot be read is no reason to trust on first use
        for gun in ["a/b", "a/c"] {
            let refused = pinned_ids(&pinning, gun, Contact::Rotation).unwrap_err();
            assert_eq!(refused, "could not load root cert from CA path");
        }
        assert_eq!(pinned_ids(&pinning, "b", Contact::First), Ok(None));
    }
}
