//! `key list`.

use clap::Args;
use serde_json::{Value, json};
use signet_proto::v1;

use crate::{
    agent::{PivPlace, attestation},
    context::Context,
    exit::CliError,
    render::{cut_left, table, told},
};

/// Notary 0.7: columns wider than this lose their beginning.
const GUN_WIDTH: usize = 25;
const LOCATION_WIDTH: usize = 40;

/// Arguments of `key list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array of key_id, name, role, gun, algorithm and places (uri, kind, token, state, origin, pin_policy,
    /// touch_policy, attestation)
    #[arg(long)]
    json: bool,
}

/// Runs `key list`.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: ListArgs) -> Result<(), CliError> {
    let keys = context.agent.keys().await?;
    if args.json {
        return context.out.json(&keys.iter().map(as_json).collect());
    }
    context.out.line("")?;
    context.out.bytes(listing(&keys).as_bytes())?;
    context.out.line("")
}

fn as_json(key: &v1::Key) -> Value {
    let places: Vec<Value> = key
        .places
        .iter()
        .map(|place| {
            json!({
                "uri": place.uri,
                "kind": kind(place.kind()),
                "token": place.token,
                "state": state(place.state()),
                "origin": told(&place.origin),
                "pin_policy": told(&place.pin_policy),
                "touch_policy": told(&place.touch_policy),
                "attestation": attestation(place.attestation()),
            })
        })
        .collect();
    json!({
        "key_id": key.key_id,
        "name": key.name,
        "role": key.role,
        "gun": key.gun,
        "algorithm": key.algorithm,
        "places": places,
    })
}

const fn kind(kind: v1::PlaceKind) -> &'static str {
    match kind {
        v1::PlaceKind::Unspecified => "unknown",
        v1::PlaceKind::Pkcs11 => "pkcs11",
        v1::PlaceKind::File => "file",
        v1::PlaceKind::Piv => "yubikey",
    }
}

const fn state(state: v1::PlaceState) -> &'static str {
    match state {
        v1::PlaceState::Unspecified => "unknown",
        v1::PlaceState::Ready => "ready",
        v1::PlaceState::Locked => "locked",
        v1::PlaceState::Absent => "absent",
    }
}

/// Notary's table: one row for each place of a key, root first, then by GUN, role, key ID and place.
fn listing(keys: &[v1::Key]) -> String {
    if keys.is_empty() {
        return "No signing keys found.\n".to_owned();
    }
    let mut rows: Vec<Vec<String>> = keys.iter().flat_map(rows).collect();
    rows.sort_by_cached_key(|row| {
        let cell = |at| row.get(at).cloned().unwrap_or_default();
        (cell(0) != "root", cell(1), cell(0), cell(2), cell(3))
    });
    for row in &mut rows {
        if let [_, gun, _, location] = row.as_mut_slice() {
            *gun = cut_left(gun, GUN_WIDTH);
            *location = cut_left(location, LOCATION_WIDTH);
        }
    }
    table(&["ROLE", "GUN", "KEY ID", "LOCATION"], &rows)
}

fn rows(key: &v1::Key) -> Vec<Vec<String>> {
    let row = |place| vec![key.role.clone(), key.gun.clone(), key.key_id.clone(), location(place)];
    key.places.iter().map(row).collect()
}

/// Notary names the directory of a key file; we name the token in the same way.
fn location(place: &v1::Place) -> String {
    let name = match place.uri.strip_prefix("file:") {
        Some(path) => path.rsplit_once('/').map_or(path, |(directory, _)| directory).to_owned(),
        None => match PivPlace::of(&place.uri) {
            Some(piv) => piv.to_string(),
            None if place.token.is_empty() => place.uri.clone(),
            None => place.token.clone(),
        },
    };
    match place.state() {
        v1::PlaceState::Absent => format!("{name} (absent)"),
        v1::PlaceState::Unspecified | v1::PlaceState::Ready | v1::PlaceState::Locked => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use signet_proto::v1;

    use super::{as_json, listing};

    fn key(role: &str, gun: &str, id: &str, places: &[(&str, &str, v1::PlaceState)]) -> v1::Key {
        let place = |(uri, token, state): &(&str, &str, v1::PlaceState)| v1::Place {
            uri: (*uri).to_owned(),
            token: (*token).to_owned(),
            state: (*state).into(),
            ..v1::Place::default()
        };
        v1::Key {
            role: role.to_owned(),
            gun: gun.to_owned(),
            key_id: id.to_owned(),
            places: places.iter().map(place).collect(),
            ..v1::Key::default()
        }
    }

    #[test]
    fn keys_are_listed_as_notary_does() {
        let file = ("file:/home/a/.notary/private/x.key", "", v1::PlaceState::Locked);
        let keys = [
            key("targets", "example.com/a", "02", &[file]),
            key("root", "", "09", &[("pkcs11:token=release", "release", v1::PlaceState::Absent), file]),
            key("snapshot", "example.com/a", "03", &[file]),
            key("delegation", "", "04", &[file]),
        ];
        let expected = concat!(
            "ROLE          GUN              KEY ID    LOCATION\n",
            "----          ---              ------    --------\n",
            "root                           09        /home/a/.notary/private\n",
            "root                           09        release (absent)\n",
            "delegation                     04        /home/a/.notary/private\n",
            "snapshot      example.com/a    03        /home/a/.notary/private\n",
            "targets       example.com/a    02        /home/a/.notary/private\n",
        );
        assert_eq!(listing(&keys), expected);
    }

    #[test]
    fn a_place_on_a_yubikey_is_its_serial_number_and_slot() {
        let place = |state| ("yubikey:4711/9c", "4711", state);
        let keys = [
            key("root", "", "01", &[place(v1::PlaceState::Ready)]),
            key("root", "", "02", &[place(v1::PlaceState::Absent)]),
        ];
        let listing = listing(&keys);
        assert!(listing.contains("01        yubikey 4711/9c\n"), "{listing}");
        assert!(listing.contains("02        yubikey 4711/9c (absent)\n"), "{listing}");
    }

    #[test]
    fn a_place_in_json_says_what_its_token_tells() {
        let mut keys = [
            key("root", "", "01", &[("yubikey:4711/9c", "4711", v1::PlaceState::Ready)]),
            key("root", "", "02", &[("file:/k/x.key", "", v1::PlaceState::Locked)]),
        ];
        keys[0].places[0] = v1::Place {
            kind: v1::PlaceKind::Piv.into(),
            origin: "generated".to_owned(),
            pin_policy: "once".to_owned(),
            touch_policy: "always".to_owned(),
            attestation: v1::AttestationState::Verified.into(),
            ..keys[0].places[0].clone()
        };
        keys[1].places[0].kind = v1::PlaceKind::File.into();
        let expected = [
            json!({
                "uri": "yubikey:4711/9c", "kind": "yubikey", "token": "4711", "state": "ready", "origin": "generated",
                "pin_policy": "once", "touch_policy": "always", "attestation": "verified",
            }),
            json!({
                "uri": "file:/k/x.key", "kind": "file", "token": "", "state": "locked", "origin": null,
                "pin_policy": null, "touch_policy": null, "attestation": "none",
            }),
        ];
        for (key, expected) in keys.iter().zip(expected) {
            assert_eq!(as_json(key)["places"][0], expected);
        }
    }

    #[test]
    fn no_keys_are_said() {
        assert_eq!(listing(&[]), "No signing keys found.\n");
    }
}
