//! Compiles the interface definitions without protoc.

use std::error::Error;

const FILES: [&str; 7] = [
    "signet/v1/agent.proto",
    "signet/v1/approvals.proto",
    "signet/v1/audit.proto",
    "signet/v1/keys.proto",
    "signet/v1/signing.proto",
    "signet/v1/tokens.proto",
    "notary/signer.proto",
];

/// Messages with a PIN, a passphrase or a private key: their `Debug` is written by hand.
const SECRET: [&str; 7] = [
    "signet.v1.ChangePassphraseRequest",
    "signet.v1.ChangePinRequest",
    "signet.v1.ImportKeyRequest",
    "signet.v1.PivOptions",
    "signet.v1.SetupTokenRequest",
    "signet.v1.UnblockPinRequest",
    "signet.v1.UnlockRequest",
];

/// Documents that can be large: they share the buffer that they arrived in.
const LARGE: [&str; 2] = [".signet.v1.SignRequest.signed", ".signet.v1.Evidence"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let configured = tonic_prost_build::configure().skip_debug(SECRET);
    LARGE.iter().fold(configured, |built, path| built.bytes(path)).compile_fds(descriptors)?;
    Ok(())
}
