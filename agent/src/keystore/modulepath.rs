//! Which PKCS#11 modules may be loaded: only what nobody else could have put there.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::StartError;

/// The real path of a module, if it and everything above it belong to root or us and nobody else can write them.
pub(super) fn checked(path: &Path) -> Result<PathBuf, StartError> {
    let refuse = |why: String| StartError::Module { path: path.to_owned(), why };
    if !path.is_absolute() {
        return Err(refuse("name it by its absolute path".to_owned()));
    }
    let real = path.canonicalize().map_err(|error| refuse(error.to_string()))?;
    if !real.is_file() {
        return Err(refuse("it is not a file".to_owned()));
    }
    // Links on the way are followed by the loader too, so both ways to the file count.
    for part in path.ancestors().chain(real.ancestors()) {
        let metadata = part.metadata().map_err(|error| refuse(format!("{}: {error}", part.display())))?;
        if let Some(why) = distrust(&metadata) {
            return Err(refuse(format!("{} {why}", part.display())));
        }
    }
    Ok(real)
}

fn distrust(metadata: &Metadata) -> Option<String> {
    let euid = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != euid {
        return Some(format!("belongs to uid {}, not to root or uid {euid}", metadata.uid()));
    }
    // A sticky directory like /tmp is no excuse: anybody can make a name in it.
    (metadata.mode() & 0o022 != 0).then(|| format!("can be written by others (mode {:04o})", metadata.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{StartError, checked};

    fn why(path: &Path) -> String {
        match checked(path) {
            Err(StartError::Module { why, .. }) => why,
            other => panic!("{}: {other:?}", path.display()),
        }
    }

    #[test]
    fn a_module_of_the_system_is_accepted() {
        checked(Path::new("/usr/lib/softhsm/libsofthsm2.so")).unwrap();
    }

    #[test]
    fn a_module_that_others_can_replace_is_refused() {
        let home = tempfile::tempdir_in("/tmp").unwrap();
        let module = home.path().join("module.so");
        std::fs::copy("/usr/lib/softhsm/libsofthsm2.so", &module).unwrap();
        assert!(why(&module).contains("/tmp can be written by others"));
        assert!(why(Path::new("libsofthsm2.so")).contains("absolute"));
        assert!(why(Path::new("/usr/lib/softhsm")).contains("not a file"));
        assert!(why(Path::new("/usr/lib/none.so")).contains("No such file"));
    }
}
