//! `token attest`.

use std::path::{Path, PathBuf};

use clap::Args;
use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::{Value, json};
use signet_proto::v1;

use super::{key_named, place_named};
use crate::{
    agent::{answered, attestation, keys_client},
    commands::{
        key::find,
        new_file::{failed, write_new},
    },
    context::Context,
    exit::CliError,
    log::visible,
    render::told,
};

/// Mode of the chain's file: certificates are for everybody.
const FOR_EVERYBODY: u32 = 0o644;

/// Arguments of `token attest`.
#[derive(Debug, Args)]
pub(super) struct AttestArgs {
    /// ID of the key, or the beginning of it
    #[arg(value_name = "KEYID")]
    key: String,
    /// Write the certificates to a new file as PEM, the key's own first
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print a JSON object, with the certificates
    #[arg(long)]
    json: bool,
}

/// Runs `token attest`.
///
/// # Errors
/// [`CliError::Untrusted`] if the chain does not verify; other [`CliError`]s.
pub(super) async fn run(context: &mut Context, args: &AttestArgs) -> Result<(), CliError> {
    let key = find(&context.agent.keys().await?, &args.key)?;
    let channel = context.agent.link().await?.channel;
    let request = v1::AttestKeyRequest { key: key.key_id.clone() };
    let told = answered(keys_client(&channel).attest(request)).await?;
    if let Some(path) = &args.output {
        write(path, &told.chain)?;
    }
    if args.json {
        context.out.json(&as_json(&key, &told))?;
    } else {
        context.out.bytes(in_words(&key, &told).as_bytes())?;
    }
    match told.state() {
        v1::AttestationState::Verified => Ok(()),
        v1::AttestationState::None | v1::AttestationState::Unverified => {
            let key = key_named(&key.role, &key.gun, &key.key_id);
            Err(CliError::Untrusted(format!("the attestation of {key} does not verify: {}", told.message)))
        }
    }
}

fn write(path: &Path, chain: &[Vec<u8>]) -> Result<(), CliError> {
    if chain.is_empty() {
        return Ok(());
    }
    write_new(path, in_pem(chain).concat().as_bytes(), FOR_EVERYBODY).map_err(|error| failed(path, &error))
}

fn in_pem(chain: &[Vec<u8>]) -> Vec<String> {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    chain.iter().map(|der| pem::encode_config(&Pem::new("CERTIFICATE", der.as_slice()), config)).collect()
}

fn in_words(key: &v1::Key, told: &v1::AttestKeyResponse) -> String {
    let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { visible(text) };
    let verdict = match told.state() {
        v1::AttestationState::None => "no attestation",
        v1::AttestationState::Verified => "made on a YubiKey",
        v1::AttestationState::Unverified => "not verified",
    };
    let why = if told.message.is_empty() { String::new() } else { format!(": {}", visible(&told.message)) };
    format!(
        "{}, {}\n  serial        {}\n  firmware      {}\n  PIN policy    {}\n  touch policy  {}\n  verdict       {verdict}{why}\n",
        key_named(&key.role, &key.gun, &key.key_id),
        visible(&place_named(&told.place)),
        or_unknown(&told.serial),
        or_unknown(&told.firmware),
        or_unknown(&told.pin_policy),
        or_unknown(&told.touch_policy),
    )
}

fn as_json(key: &v1::Key, attested: &v1::AttestKeyResponse) -> Value {
    json!({
        "key_id": key.key_id,
        "place": attested.place,
        "state": attestation(attested.state()),
        "message": told(&attested.message),
        "serial": told(&attested.serial),
        "firmware": told(&attested.firmware),
        "pin_policy": told(&attested.pin_policy),
        "touch_policy": told(&attested.touch_policy),
        "chain": in_pem(&attested.chain),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use signet_proto::v1;

    use super::{as_json, in_pem, in_words, write};

    fn key() -> v1::Key {
        v1::Key { key_id: "3f2a1b7c".repeat(8), role: "root".to_owned(), ..v1::Key::default() }
    }

    fn told(state: v1::AttestationState, message: &str) -> v1::AttestKeyResponse {
        v1::AttestKeyResponse {
            chain: vec![vec![1], vec![2]],
            place: "yubikey:4711/9c".to_owned(),
            state: state.into(),
            message: message.to_owned(),
            serial: "4711".to_owned(),
            firmware: "5.7.1".to_owned(),
            pin_policy: "once".to_owned(),
            touch_policy: String::new(),
        }
    }

    #[test]
    fn an_attestation_is_shown_with_its_verdict() {
        let expected = "\
root key 3f2a1b7, yubikey 4711/9c
  serial        4711
  firmware      5.7.1
  PIN policy    once
  touch policy  unknown
  verdict       made on a YubiKey: CN=Yubico PIV Root CA
";
        assert_eq!(in_words(&key(), &told(v1::AttestationState::Verified, "CN=Yubico PIV Root CA")), expected);
        for (state, message, verdict) in [
            (v1::AttestationState::Unverified, "it ends elsewhere", "verdict       not verified: it ends elsewhere\n"),
            (v1::AttestationState::None, "", "verdict       no attestation\n"),
        ] {
            assert!(in_words(&key(), &told(state, message)).ends_with(verdict), "{state:?}");
        }
    }

    #[test]
    fn json_has_the_chain_as_pem() {
        let json = as_json(&key(), &told(v1::AttestationState::Unverified, "no"));
        assert_eq!((&json["state"], &json["touch_policy"]), (&"unverified".into(), &().into()));
        let leaf = "-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n";
        assert_eq!(json["chain"][0], leaf);
    }

    #[test]
    fn a_chain_is_written_leaf_first_and_overwrites_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chain.pem");
        let chain = told(v1::AttestationState::Verified, "").chain;
        write(&path, &chain).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), in_pem(&chain).concat());
        let error = write(&path, &chain).unwrap_err();
        assert!(error.to_string().contains("chain.pem"), "{error}");
        write(&directory.path().join("none.pem"), &[]).unwrap();
        assert!(!directory.path().join("none.pem").exists());
    }
}
