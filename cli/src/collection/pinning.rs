//! First contact: whether a root that nothing vouches for yet may be trusted.

use signet_tuf::{Gun, Root};

use crate::config::{FirstUse, TrustPinning};

/// Judges the first root of a collection by Notary's `trust_pinning`: certificates of the GUN itself, then of the longest
/// `prefix*`, then a CA, then trust on first use.
///
/// # Errors
/// One sentence that says why not.
pub(super) fn first_contact(pinning: &TrustPinning, gun: &Gun, root: &Root) -> Result<(), String> {
    if let Some(pins) = pinned_certificates(pinning, gun) {
        let listed = |pin: &String| root.root.key_ids.iter().any(|id| id.to_string() == *pin);
        return match pins.iter().any(listed) {
            true => Ok(()),
            false => Err("unable to match any certificates to trust_pinning config".into()),
        };
    }
    if let Some(prefix) = pinning.ca.keys().find(|prefix| gun.as_str().starts_with(prefix.as_str())) {
        return Err(format!(
            "trust_pinning.ca for `{prefix}` is not supported by this version of signet; pin the certificate"
        ));
    }
    match pinning.first_use {
        FirstUse::Trust => Ok(()),
        FirstUse::Refuse => {
            Err("invalid trust pinning specified: nothing pins this collection and disable_tofu is set".into())
        }
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
    use signet_tuf::{Expires, KeyId, RoleKeys, Version};
    use time::macros::datetime;

    use super::*;

    fn root(id: u8) -> Root {
        let keys = |id: u8| RoleKeys { key_ids: vec![KeyId::from_bytes([id; 32])], threshold: 1 };
        Root {
            version: Version::FIRST,
            expires: Expires::at(datetime!(2030-01-01 0:00 UTC)),
            consistent_snapshot: false,
            keys: std::collections::BTreeMap::new(),
            root: keys(id),
            targets: keys(9),
            snapshot: keys(9),
            timestamp: keys(9),
        }
    }

    #[test]
    fn the_most_exact_pin_decides() {
        let pin = |id: u8| vec![KeyId::from_bytes([id; 32]).to_string()];
        let mut pinning = TrustPinning { first_use: FirstUse::Refuse, ..TrustPinning::default() };
        pinning.certs.extend([("a/b".into(), pin(1)), ("a/*".into(), pin(2)), ("a/c/*".into(), pin(3))]);
        pinning.ca.insert("ca/".into(), "/x".into());
        let table = [
            ("a/b", 1, true),
            ("a/b", 2, false),
            ("a/x", 2, true),
            ("a/c/x", 3, true),
            ("a/c/x", 2, false),
            ("ca/x", 1, false),
            ("other", 1, false),
        ];
        for (gun, id, trusted) in table {
            assert_eq!(first_contact(&pinning, &gun.parse().unwrap(), &root(id)).is_ok(), trusted, "{gun} {id}");
        }
        pinning.first_use = FirstUse::Trust;
        assert!(first_contact(&pinning, &"other".parse().unwrap(), &root(1)).is_ok());
        assert!(first_contact(&pinning, &"ca/x".parse().unwrap(), &root(1)).is_err());
    }
}
