//! `key list` and `key generate`.

use clap::{Args, Subcommand};
use signet_proto::v1;
use signet_tuf::{Gun, Role};

use crate::{
    agent::Place,
    collection::init::NEVER_ROOT,
    context::Context,
    exit::{CliError, Face},
    render::{cut_left, table},
};

/// Notary 0.7: columns wider than this lose their beginning.
const GUN_WIDTH: usize = 25;
const LOCATION_WIDTH: usize = 40;

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

/// Arguments of `key`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// List keys: roles, collections, IDs and where they are
    List,
    /// Make a key
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
struct GenerateArgs {
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
    /// Make a key file even if the agent has a token for this role
    #[arg(long)]
    file: bool,
}

/// Runs `key`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: KeyArgs) -> Result<(), CliError> {
    match args.command {
        KeyCommand::List => list(context).await,
        KeyCommand::Generate(args) => generate(context, args).await,
    }
}

async fn list(context: &mut Context) -> Result<(), CliError> {
    let keys = context.agent.keys().await?;
    context.out.line("")?;
    context.out.bytes(listing(&keys).as_bytes())?;
    context.out.line("")
}

async fn generate(context: &mut Context, args: GenerateArgs) -> Result<(), CliError> {
    let word = args.algorithm.to_ascii_lowercase();
    let algorithm = algorithm(&word)?;
    must_fit(&args.role, algorithm)?;
    let wanted = match (args.token, args.file) {
        (Some(token), _) => Place::Token(token),
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

fn whereabouts(place: &v1::Place) -> String {
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
        Some(path) => path.rsplit_once('/').map_or(path, |(directory, _)| directory),
        None if place.token.is_empty() => &place.uri,
        None => &place.token,
    };
    match place.state() {
        v1::PlaceState::Absent => format!("{name} (absent)"),
        v1::PlaceState::Unspecified | v1::PlaceState::Ready | v1::PlaceState::Locked => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::{algorithm, listing, must_fit, whereabouts};

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
    fn no_keys_are_said() {
        assert_eq!(listing(&[]), "No signing keys found.\n");
    }

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
    }
}
