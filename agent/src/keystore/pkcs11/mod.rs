//! PKCS#11 tokens. `cryptoki` is named in this folder and nowhere else.

mod fault;
mod module;
mod objects;
mod session;
mod token;

pub(super) use module::Module;
pub(super) use token::Pkcs11Token;
