//! Key files: Notary's own, in trust directories that callers name. Decrypted keys live in one thread and nowhere else.

mod codec;
mod folder;
mod legacy;
mod migrate;
mod private;
mod store;
mod token;

pub(in crate::keystore) use private::{Components, PrivateKey, ec_public, ed25519_public, rsa_public};
pub use store::Written;
pub(in crate::keystore) use store::{FileRequest, Incoming, OpenedBy, open_pem, spawn};
