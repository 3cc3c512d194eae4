//! What `add` and `addhash` stage: a target, checked before it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use signet_tuf::{Delegations, Expires, Gun, Hashes, Metadata, Role, Target, Targets, Version, json, notary1};
use time::OffsetDateTime;

use super::{
    names::holding_roles,
    staging::{self, Then},
};
use crate::{context::Context, exit::CliError, trustdir::change::Change};

/// Flags of `add` and `addhash`.
#[derive(Debug, Args)]
pub struct HowToStage {
    /// Delegation roles to add this target to
    #[arg(short = 'r', long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    /// JSON file with custom data of the target
    #[arg(long, value_name = "FILE")]
    custom: Option<PathBuf>,
    #[command(flatten)]
    then: Then,
}

/// Stages a target of this size and these digests, says so, and publishes it if that is wanted.
pub(super) async fn stage(
    context: &mut Context,
    gun: &Gun,
    name: &str,
    (length, hashes): (u64, Hashes),
    how: HowToStage,
    said: &str,
) -> Result<(), CliError> {
    let roles = holding_roles(&how.roles)?;
    let custom = how.custom.as_deref().map(custom_data).transpose()?;
    let target = Target { length, hashes, custom };
    must_be_signable(name, &target)?;
    let changes = roles.iter().map(|role| Change::add_target(role.as_str(), name, &target)).collect();
    staging::stage(context, gun, changes, said, &how.then).await
}

/// A file's content.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| {
        CliError::with_remedy(format!("cannot read {}: {error}", path.display()), "check the path; nothing was staged")
    })
}

/// Custom data in canonical form, which is what goes under the signature.
fn custom_data(path: &Path) -> Result<json::Value, CliError> {
    let bytes = read(path)?;
    let refused = |why: String| {
        CliError::with_remedy(
            format!("the custom data in {} cannot be published: {why}", path.display()),
            "it has to be JSON, with unique names, whole numbers between -2^53 and 2^53, and without < > & and control characters in texts; nothing was staged",
        )
    };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
        return Err(refused(format!("it is not JSON: {error}")));
    }
    notary1::custom(&bytes).map_err(|error| refused(error.to_string()))
}

/// Refuses what Notary's metadata cannot hold, now and not at the next publish.
fn must_be_signable(name: &str, target: &Target) -> Result<(), CliError> {
    if name.is_empty() {
        return Err(CliError::failed("the target's name is empty"));
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(CliError::with_remedy(
            format!("the target name {name:?} holds the control character {control:?}, which metadata cannot carry"),
            "use another name; nothing was staged",
        ));
    }
    let trial = Targets {
        version: Version::FIRST,
        expires: Expires::at(OffsetDateTime::UNIX_EPOCH),
        targets: [(name.to_owned(), target.clone())].into(),
        delegations: Delegations::default(),
    };
    match notary1::parse(&Role::Targets, &notary1::encode(&Metadata::Targets(trial))) {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::with_remedy(
            format!("target {name:?} cannot be signed: {error}"),
            "leave out what is named; nothing was staged",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(custom: &str) -> Target {
        Target { length: 1, hashes: Hashes::of(b"x"), custom: Some(json::parse(custom.as_bytes()).unwrap()) }
    }

    #[test]
    fn what_metadata_cannot_hold_is_refused_at_add() {
        let table = [
            ("v1", r#"{"b":[1,"é"],"a":null}"#, true),
            ("a<b>&\"\\é漢 x", "1", true),
            ("", "1", false),
            ("a\nb", "1", false),
            ("a\u{7f}b", "1", false),
            ("v1", r#"{"a":"<"}"#, false),
            ("v1", r#"["a\nb"]"#, false),
        ];
        for (name, custom, fits) in table {
            assert_eq!(must_be_signable(name, &target(custom)).is_ok(), fits, "{name:?} {custom}");
        }
    }
}
