//! `key generate`.

use std::path::PathBuf;

use clap::Args;
use signet_proto::v1;
use signet_tuf::{Gun, Role};

use super::{outside, piv::PivArgs};
use crate::{
    agent::{PivPlace, Place},
    collection::init::NEVER_ROOT,
    context::Context,
    exit::{CliError, Face},
};

/// Accepted words, and what the agent calls them.
const ALGORITHMS: [(&str, &str); 8] = [
    ("ecdsa", "ecdsa-p256"),
    ("ecdsa-p256", "ecdsa-p256"),
    ("ecdsa-p384", "ecdsa-p384"),
    ("rsa", "rsa-2048"),
    ("rsa-2048", "rsa-2048"),
    ("rsa-3072", "rsa-3072"),
    ("rsa-4096", "rsa-4096"),
    ("ed25519", "ed25519"),
];

/// Arguments of `key generate`.
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// ecdsa (P-256), ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519
    #[arg(default_value = "ecdsa", hide_default_value = true)]
    algorithm: String,
    /// Role of the key
    #[arg(short, long, default_value = "root")]
    role: String,
    /// Collection of the key, for targets and snapshot
    #[arg(short, long)]
    gun: Option<String>,
    /// Make it on this token: label, serial number or PKCS#11 URI
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    token: Option<String>,
    /// Write the key to PREFIX-key.pem, and its public key to PREFIX.pem, instead of keeping it
    #[arg(short, long, value_name = "PREFIX", conflicts_with_all = ["token", "file"])]
    output: Option<PathBuf>,
    /// Make a key file even if the agent has a token for this role
    #[arg(long)]
    file: bool,
    #[command(flatten)]
    piv: PivArgs,
}

/// Runs `key generate`.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: GenerateArgs) -> Result<(), CliError> {
    let word = args.algorithm.to_ascii_lowercase();
    let algorithm = algorithm(&word)?;
    must_fit(&args.role, algorithm)?;
    if let Some(prefix) = &args.output {
        return outside::generate(context, &args.role, algorithm, prefix).await;
    }
    let wanted = match (args.token, args.file) {
        (Some(name), _) => Place::Token { name, piv: args.piv.options()? },
        (None, true) => Place::File,
        (None, false) => Place::Rule,
    };
    let gun = args.gun.as_deref().map(Gun::parse).transpose().map_err(|error| CliError::failed(error.to_string()))?;
    let key = context.agent.generate_for(&args.role, gun.as_ref(), wanted, algorithm).await?;
    context.out.line(&format!("Generated new {word} {} key with keyID: {}", args.role, key.key_id))?;
    match (context.face, key.places.first()) {
        (Face::Signet, Some(place)) => context.out.line(&format!("  {}", whereabouts(place))),
        // Notary says no more
        (Face::Notary, _) | (Face::Signet, None) => Ok(()),
    }
}

fn must_fit(role: &str, algorithm: &str) -> Result<(), CliError> {
    if role == Role::Root.as_str() && algorithm == NEVER_ROOT {
        let message = format!("a root key cannot be {algorithm}: Notary takes X.509 certificates of ECDSA or RSA keys");
        return Err(CliError::with_remedy(message, "choose another algorithm, or another role with -r"));
    }
    Ok(())
}

/// Where a new key is.
pub(in crate::commands) fn whereabouts(place: &v1::Place) -> String {
    if let Some(PivPlace { serial, slot }) = PivPlace::of(&place.uri) {
        return format!("on YubiKey {serial}, slot {slot}");
    }
    match place.uri.strip_prefix("file:") {
        Some(path) => format!("in {path}"),
        None if place.token.is_empty() => format!("at {}", place.uri),
        None => format!("on token {}", place.token),
    }
}

fn algorithm(word: &str) -> Result<&'static str, CliError> {
    ALGORITHMS.iter().find(|(name, _)| *name == word).map(|(_, name)| *name).ok_or_else(|| {
        let names: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        CliError::failed(format!("Algorithm not allowed, possible values are: {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::{algorithm, must_fit, whereabouts};

    #[test]
    fn algorithms_are_named_for_the_agent() {
        assert_eq!(algorithm("ecdsa").unwrap(), "ecdsa-p256");
        assert_eq!(algorithm("ed25519").unwrap(), "ed25519");
        let error = algorithm("dsa").unwrap_err().to_string();
        assert!(error.starts_with("Algorithm not allowed, possible values are: ecdsa,"), "{error}");
    }

    #[test]
    fn a_root_key_is_of_an_algorithm_that_notary_takes_for_root() {
        for (role, algorithm, fits) in [
            ("root", "ed25519", false),
            ("root", "rsa-2048", true),
            ("root", "ecdsa-p256", true),
            ("targets", "ed25519", true),
        ] {
            assert_eq!(must_fit(role, algorithm).is_ok(), fits, "{role} {algorithm}");
        }
    }

    #[test]
    fn a_new_key_is_said_to_be_somewhere() {
        let place = |uri: &str, token: &str| v1::Place { uri: uri.into(), token: token.into(), ..v1::Place::default() };
        assert_eq!(whereabouts(&place("file:/home/a/x.key", "")), "in /home/a/x.key");
        assert_eq!(whereabouts(&place("pkcs11:token=release", "release")), "on token release");
        assert_eq!(whereabouts(&place("pkcs11:token=release", "")), "at pkcs11:token=release");
        assert_eq!(whereabouts(&place("yubikey:4711/9c", "4711")), "on YubiKey 4711, slot 9c");
    }
}
