//! Docker's credential helpers: `docker-credential-NAME get` reads the server's name and writes JSON.

use std::{env, io, os::unix::fs::PermissionsExt, path::PathBuf, process::Stdio, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Secret;
use crate::{environment::Environment, log::visible, secret::Passphrase};

/// Some ask the person to open a key ring first.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// Docker's user name for an identity token.
const TOKEN: &str = "<token>";
/// What helpers print when they know nobody.
const NOT_FOUND: &str = "credentials not found";
const WORDS_SHOWN: usize = 200;

/// Why a helper does not help.
#[derive(Debug, Error)]
pub(super) enum HelperError {
    #[error("`{0}` is not the name of a credential helper")]
    Name(String),
    #[error("{0} is in no directory that PATH names from the root")]
    Missing(String),
    #[error("{program} cannot be run: {cause}")]
    Run { program: String, cause: io::Error },
    #[error("{program} has said nothing for {} seconds", PATIENCE.as_secs())]
    Hangs { program: String },
    #[error("{program} failed{words}")]
    Failed { program: String, words: String },
    #[error("{program} answers something else than a user name and a secret")]
    Answer { program: String },
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The program of a helper.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// What the helper knows for a server; none if it knows nobody.
///
/// # Cancellation
/// The helper is killed.
pub(super) async fn ask(environment: &Environment, name: &str, server: &str) -> Result<Option<Secret>, HelperError> {
    if name.contains('/') {
        return Err(HelperError::Name(name.to_owned()));
    }
    let program = program(name);
    let Some(path) = found(environment, &program) else { return Err(HelperError::Missing(program)) };
    let child = Command::new(path)
        .arg("get")
        .env_clear()
        .envs(environment.only(passes))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(HelperError::Missing(program)),
        Err(cause) => return Err(HelperError::Run { program, cause }),
    };
    match timeout(PATIENCE, talk(child, server)).await {
        Err(_) => Err(HelperError::Hangs { program }),
        Ok(Err(cause)) => Err(HelperError::Run { program, cause }),
        Ok(Ok((Ended::Well, output))) => read(program, &output),
        Ok(Ok((Ended::Badly, output))) => {
            let words = String::from_utf8_lossy(&output);
            if words.contains(NOT_FOUND) {
                Ok(None)
            } else {
                Err(HelperError::Failed { program, words: shown(&words) })
            }
        }
    }
}

/// Where the program is. Not below the working directory, which may be somebody else's, whatever PATH says.
fn found(environment: &Environment, program: &str) -> Option<PathBuf> {
    let directories = env::split_paths(environment.value("PATH")?).filter(|directory| directory.is_absolute());
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    directories.map(|directory| directory.join(program)).find(is_program)
}

/// Helpers reach key rings, agents and clouds by variables of their own, so they get all but what opens our keys.
fn passes(name: &str) -> bool {
    let ours = ["NOTARY_", "SIGNET_", "DOCKER_CONTENT_TRUST"].iter().any(|prefix| name.starts_with(prefix));
    !ours && !name.contains("PASSPHRASE")
}

enum Ended {
    Well,
    Badly,
}

async fn talk(mut child: Child, server: &str) -> io::Result<(Ended, Zeroizing<Vec<u8>>)> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(server.as_bytes()).await {
            // some know one server only and do not read
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let output = all(child.stdout.take()).await?;
    let ended = if child.wait().await?.success() { Ended::Well } else { Ended::Badly };
    Ok((ended, output))
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Zeroizing<Vec<u8>>> {
    // never grown, so that no copy of a secret is left behind
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_ANSWER_BYTES).unwrap_or(0)));
    if let Some(stream) = stream {
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn read(program: String, output: &[u8]) -> Result<Option<Secret>, HelperError> {
    let answer: Answer =
        serde_json::from_slice(output).map_err(|_| HelperError::Answer { program: program.clone() })?;
    if answer.secret.is_empty() || answer.username.is_empty() {
        return Ok(None);
    }
    let secret = Passphrase::from(SecretString::from(answer.secret.as_str()));
    Ok(Some(match answer.username.as_str() {
        TOKEN => Secret::IdentityToken(secret),
        user => Secret::Password { user: user.to_owned(), password: secret },
    }))
}

/// The first line of what a failing helper said, unless that looks like an answer with a secret in it.
fn shown(words: &str) -> String {
    let line = words.trim().lines().next().unwrap_or_default();
    if line.is_empty() || line.contains('{') || line.contains('"') {
        return String::new();
    }
    let cut: String = line.chars().take(WORDS_SHOWN).collect();
    format!(": {}", visible(&cut))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn asked(script: &str, name: &str) -> Result<Option<Secret>, HelperError> {
        asked_in(script, name, |directory| directory)
    }

    fn asked_in(script: &str, name: &str, named: impl Fn(String) -> String) -> Result<Option<Secret>, HelperError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker-credential-x");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let search = format!("{}:/usr/bin:/bin", named(directory.path().display().to_string()));
        let environment = Environment::of("/", &[("PATH", &search), ("NOTARY_AUTH", "x"), ("AWS_PROFILE", "p")]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ask(&environment, name, "n.example:1"))
    }

    fn pair(secret: Result<Option<Secret>, HelperError>) -> String {
        match secret {
            Ok(Some(Secret::Password { user, password })) => format!("{user}:{}", password.expose_text()),
            Ok(Some(Secret::IdentityToken(token))) => format!("<token>:{}", token.expose_text()),
            Ok(None) => "nobody".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_helper_is_understood_or_named() {
        for (script, wanted) in [
            (r#"s=$(cat); echo "{\"ServerURL\":\"$s\",\"Username\":\"$1 $s\",\"Secret\":\"p\"}""#, "get n.example:1:p"),
            (r#"echo '{"Username":"<token>","Secret":"t"}'"#, "<token>:t"),
            (r#"echo "{\"Username\":\"$NOTARY_AUTH$AWS_PROFILE\",\"Secret\":\"p\"}""#, "p:p"),
            ("echo credentials not found in native keychain; exit 1", "nobody"),
            (r#"echo '{"Username":"","Secret":""}'"#, "nobody"),
            ("echo no key ring here; exit 1", "docker-credential-x failed: no key ring here"),
            (r#"echo '{"Secret":"p"}'; exit 1"#, "docker-credential-x failed"),
            ("echo hello", "docker-credential-x answers something else than a user name and a secret"),
            (":", "docker-credential-x answers something else than a user name and a secret"),
        ] {
            assert_eq!(pair(asked(script, "x")), wanted, "{script}");
        }
    }

    #[test]
    fn a_helper_that_is_not_there_is_named() {
        assert_eq!(pair(asked("", "y")), "docker-credential-y is in no directory that PATH names from the root");
        assert_eq!(pair(asked("", "../x")), "`../x` is not the name of a credential helper");
    }

    #[test]
    fn no_helper_is_run_from_below_the_working_directory() {
        let answer = r#"echo '{"Username":"u","Secret":"p"}'"#;
        let to_root = env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<Vec<_>>().join("/");
        assert_eq!(pair(asked(answer, "x")), "u:p");
        let relative = asked_in(answer, "x", |directory| format!("{to_root}{directory}"));
        assert!(matches!(relative, Err(HelperError::Missing(_))), "{}", pair(relative));
    }
}
