//! The files that the real notary made.

use std::path::Path;

use signet_tuf::{Envelope, Gun, Role};

/// The roles whose files each directory of `data/notary` holds, beside the roots.
pub(crate) const FILES: [(&str, &str); 16] = [
    ("first", "targets"),
    ("first", "snapshot"),
    ("first", "timestamp"),
    ("delegated", "targets"),
    ("delegated", "snapshot"),
    ("delegated", "timestamp"),
    ("delegated", "targets/p256"),
    ("delegated", "targets/p384"),
    ("delegated", "targets/p384/nested"),
    ("delegated", "targets/p521"),
    ("delegated", "targets/rsa"),
    ("delegated", "targets/ecx"),
    ("delegated", "targets/rsax"),
    ("rotated", "targets"),
    ("rotated", "snapshot"),
    ("rotated", "timestamp"),
];

pub(crate) fn gun() -> Gun {
    "example.com/acme/app".parse().unwrap()
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

pub(crate) fn role(name: &str) -> Role {
    name.parse().unwrap()
}

/// The wire bytes of a role's file in a directory of `data/notary`.
pub(crate) fn wire(directory: &str, role: &str) -> Vec<u8> {
    bytes(&format!("notary/{directory}/{role}.json"))
}

pub(crate) fn envelope(directory: &str, name: &str) -> Envelope {
    Envelope::parse(&role(name), &wire(directory, name)).unwrap()
}

/// Version 1 to 4 of the root.
pub(crate) fn root(version: u64) -> Envelope {
    Envelope::parse(&Role::Root, &wire("root", &version.to_string())).unwrap()
}

/// Every file with its role.
pub(crate) fn all() -> Vec<(Role, Vec<u8>)> {
    let roots = (1..=4).map(|version: u64| (Role::Root, wire("root", &version.to_string())));
    let others = FILES.into_iter().map(|(directory, name)| (role(name), wire(directory, name)));
    roots.chain(others).collect()
}
