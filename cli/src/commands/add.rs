//! `add`: stages a target.

use std::{fs, path::PathBuf};

use clap::Args;
use signet_tuf::{Delegations, Expires, Hashes, Metadata, Role, Target, Targets, Version, json, notary1};
use time::OffsetDateTime;

use super::names::{gun, holding_roles};
use crate::{
    commands::publish,
    context::Context,
    exit::CliError,
    trustdir::{GunDir, changelist::Change},
};

/// Adds the file as a target to the trusted collection.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the target
    #[arg(value_name = "TARGET")]
    target: String,
    /// File with the target's content
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Delegation roles to add this target to
    #[arg(short = 'r', long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    /// JSON file with custom data of the target
    #[arg(long, value_name = "FILE")]
    custom: Option<PathBuf>,
    /// Auto-publish staged changes
    #[arg(short = 'p', long)]
    publish: bool,
}

/// Runs `add`. The content is hashed now: the file is not needed for publishing.
///
/// # Errors
/// [`CliError`] names the file, name or role that cannot be used; nothing is staged then.
pub async fn run(context: &mut Context, args: AddArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = holding_roles(&args.roles)?;
    let content = read(&args.file)?;
    let custom = args.custom.as_ref().map(custom_data).transpose()?;
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let target = Target { length, hashes: Hashes::of(&content), custom };
    must_be_signable(&args.target, &target)?;
    let changes: Vec<_> = roles.iter().map(|role| Change::add_target(role.as_str(), &args.target, &target)).collect();
    GunDir::new(&context.trust_dir, &gun).stage(&changes, OffsetDateTime::now_utc())?;
    let line = format!("Addition of target \"{}\" to repository \"{gun}\" staged for next publish.", args.target);
    context.out.line(&line)?;
    if args.publish { publish::automatically(context, &gun).await } else { Ok(()) }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| {
        CliError::with_remedy(format!("cannot read {}: {error}", path.display()), "check the path; nothing was staged")
    })
}

/// Custom data in canonical form, which is what goes under the signature.
fn custom_data(path: &PathBuf) -> Result<json::Value, CliError> {
    json::parse(&read(path)?).map_err(|error| {
        CliError::with_remedy(
            format!("the custom data in {} cannot be signed: {error}", path.display()),
            "it has to be JSON with unique names and whole numbers between -2^53 and 2^53",
        )
    })
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
