//! Where the programs under test are.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

/// The path of `signet` or `signet-agent` as built from this tree.
///
/// `SIGNET_BIN_DIR` names the directory; without it the workspace is built once, so that a story never runs
/// yesterday's program.
pub fn binary(name: &str) -> Result<PathBuf> {
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = DIRECTORY
        .get_or_init(|| directory().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))?;
    let path = directory.join(name);
    if !path.is_file() {
        bail!("{} is not built: run `make test`, or `cargo build --workspace`", path.display());
    }
    Ok(path)
}

fn directory() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("SIGNET_BIN_DIR") {
        return Ok(PathBuf::from(directory));
    }
    // target/<profile>/deps/<this test>
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("the test is not inside a target directory")?;
    let target = profile.parent().context("the target directory has no name")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .args(["build", "--quiet", "--locked", "-p", "signet", "-p", "signet-agent"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().context("run cargo")?;
    if !status.success() {
        bail!("cargo could not build signet and signet-agent");
    }
    Ok(profile.to_owned())
}
