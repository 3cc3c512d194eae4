//! Programs that know YubiKeys, and Docker's client, which are not installed: tests/setup.sh puts them where only stories look.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Yubico's manager of YubiKeys.
pub fn ykman() -> Result<PathBuf> {
    in_cache("ykman/bin/ykman")
}

/// Yubico's PKCS#11 module.
pub fn libykcs11() -> Result<PathBuf> {
    in_cache("ykcs11/usr/lib/x86_64-linux-gnu/libykcs11.so")
}

/// Docker's client.
pub fn docker() -> Result<PathBuf> {
    in_cache("docker.io/usr/bin/docker")
}

fn in_cache(name: &str) -> Result<PathBuf> {
    let directory = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")));
    let cache = cache.context("there is no HOME")?;
    let path = cache.join("signet").join(name);
    if !path.is_file() {
        bail!("{} is missing: run `make setup`", path.display());
    }
    Ok(path)
}
