//! Where the agent's socket is, and whose it is.
//!
//! The agent follows the same rules; both must name the same file for one user and one state directory.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use signet_tuf::Digest;
use tokio::{net::UnixStream, time::timeout};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::{AgentError, error::ADDRESS};
use crate::environment::Environment;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The agent's state directory: `SIGNET_STATE_DIR`, else `$XDG_STATE_HOME/signet`, else `~/.local/state/signet`.
///
/// # Errors
/// [`AgentError::Setting`] if there is no absolute path to take.
pub fn state_dir(environment: &Environment) -> Result<PathBuf, AgentError> {
    if let Some(value) = environment.path("SIGNET_STATE_DIR") {
        return absolute("SIGNET_STATE_DIR", value);
    }
    // XDG Base Directory Specification: a relative path is invalid and ignored.
    if let Some(home) = environment.path("XDG_STATE_HOME").filter(|path| path.is_absolute()) {
        return Ok(home.join("signet"));
    }
    let home = absolute("HOME", environment.home().ok_or(AgentError::NoHome)?)?;
    Ok(home.join(".local/state/signet"))
}

fn absolute(name: &'static str, value: PathBuf) -> Result<PathBuf, AgentError> {
    if value.is_absolute() { Ok(value) } else { Err(AgentError::Setting { name, wanted: "an absolute path", value }) }
}

/// The directory of sockets: `$XDG_RUNTIME_DIR/signet` if that is ours, else `/tmp/signet-UID`.
#[must_use]
pub fn directory(environment: &Environment, uid: u32) -> PathBuf {
    let ours = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid);
    match environment.path("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()).filter(ours) {
        Some(runtime) => runtime.join("signet"),
        None => PathBuf::from(format!("/tmp/signet-{uid}")),
    }
}

/// The socket's name: two state directories never share one.
#[must_use]
pub fn file_name(state_dir: &Path) -> String {
    let digest = Digest::of(state_dir.as_os_str().as_bytes()).to_string();
    format!("agent-{}.sock", digest.get(..16).unwrap_or_default())
}

/// `unix:PATH`, as `--agent` and `SIGNET_AGENT` take it.
///
/// # Errors
/// [`AgentError::Setting`] for anything else.
pub fn named(text: &OsStr, environment: &Environment) -> Result<PathBuf, AgentError> {
    match text.as_bytes().strip_prefix(b"unix:") {
        Some(path) if !path.is_empty() => Ok(environment.absolute(Path::new(OsStr::from_bytes(path)))),
        _ => Err(AgentError::Setting { name: ADDRESS, wanted: "unix:PATH", value: text.into() }),
    }
}

/// What a socket's directory must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Ours alone: the default directory, which in /tmp anyone could have made first.
    Private,
    /// Nobody but us and root can put a socket there: what a person named.
    Guarded,
}

/// Says why a directory must not be trusted; `Ok(false)` if there is none.
fn check_directory(directory: &Path, uid: u32, demand: Demand) -> Result<bool, String> {
    let found = match demand {
        Demand::Private => fs::symlink_metadata(directory),
        Demand::Guarded => fs::metadata(directory),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("{}: {error}", directory.display())),
    };
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let name = directory.display();
    if !found.is_dir() {
        return Err(format!("{name} is no directory"));
    }
    match demand {
        Demand::Private if owner != uid => Err(format!("{name} belongs to user {owner}, not to {uid}")),
        Demand::Private if mode & 0o077 != 0 => Err(format!("{name} has mode {mode:03o}, not 700")),
        Demand::Guarded if owner != uid && owner != 0 => Err(format!("{name} belongs to user {owner}, not to {uid}")),
        // In a sticky directory only the owner replaces a file; whose socket it is shows when connected.
        Demand::Guarded if mode & 0o022 != 0 && mode & 0o1000 == 0 => {
            Err(format!("{name} has mode {mode:03o}: others can write to it"))
        }
        Demand::Private | Demand::Guarded => Ok(true),
    }
}

/// A connection to an agent of this user.
#[derive(Clone)]
pub struct Link {
    /// Speaks gRPC. It never connects again by itself: unlocks end with the connection, and that must show.
    pub channel: Channel,
    /// Where the agent listens.
    pub socket: PathBuf,
    /// The process that listens, if the kernel tells.
    pub pid: Option<i32>,
}

/// What was found at a socket.
pub enum Found {
    /// An agent of ours.
    Agent(Link),
    /// Nobody listens.
    Nobody(io::Error),
}

/// Connects, and checks who answers before a byte is sent.
///
/// # Errors
/// [`AgentError::ForeignSocket`], [`AgentError::Unreachable`]
pub async fn connect(socket: &Path, demand: Demand) -> Result<Found, AgentError> {
    let uid = rustix::process::geteuid().as_raw();
    let foreign = |why| AgentError::ForeignSocket { socket: socket.to_owned(), why };
    let unreachable = |cause: String| AgentError::Unreachable { socket: socket.to_owned(), cause };
    if !check_directory(socket.parent().unwrap_or(Path::new("/")), uid, demand).map_err(foreign)? {
        return Ok(Found::Nobody(io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error())));
    }
    let stream = match timeout(CONNECT_TIMEOUT, UnixStream::connect(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if is_nobody(&error) => return Ok(Found::Nobody(error)),
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable("it does not take the connection".to_owned())),
    };
    let peer = stream.peer_cred().map_err(|error| unreachable(error.to_string()))?;
    if peer.uid() != uid {
        return Err(foreign(format!("it is served by user {}, not by {uid}", peer.uid())));
    }
    let pid = peer.pid().filter(|pid| *pid > 0);
    let channel = speak(stream).await.map_err(|error| unreachable(error.to_string()))?;
    Ok(Found::Agent(Link { channel, socket: socket.to_owned(), pid }))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// gRPC over this one stream.
async fn speak(stream: UnixStream) -> Result<Channel, tonic::transport::Error> {
    let once = Arc::new(Mutex::new(Some(stream)));
    let connector = service_fn(move |_| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { stream.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset)) }
    });
    // The address is not used: the stream is there already.
    Endpoint::from_static("http://signet-agent")
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector(connector)
        .await
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
        path::{Path, PathBuf},
    };

    use super::{Demand, Found, check_directory, connect, directory, file_name, named, state_dir};
    use crate::{agent::AgentError, environment::Environment};

    fn uid_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().uid()
    }

    #[test]
    fn the_state_directory_follows_the_environment() {
        for (variables, expected) in [
            (&[("SIGNET_STATE_DIR", "/s"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")][..], Some("/s")),
            (&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], Some("/x/signet")),
            (&[("SIGNET_STATE_DIR", ""), ("XDG_STATE_HOME", "x"), ("HOME", "/h")], Some("/h/.local/state/signet")),
            (&[("HOME", "/h")], Some("/h/.local/state/signet")),
            (&[("SIGNET_STATE_DIR", "relative"), ("HOME", "/h")], None),
            (&[], None),
        ] {
            let found = state_dir(&Environment::of("/cwd", variables)).ok();
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn the_runtime_directory_serves_if_it_is_ours() {
        let runtime = tempfile::tempdir().unwrap();
        let path = runtime.path().to_str().unwrap();
        let uid = uid_of(runtime.path());
        let environment = Environment::of("/", &[("XDG_RUNTIME_DIR", path)]);
        assert_eq!(directory(&environment, uid), runtime.path().join("signet"));
        assert_eq!(directory(&environment, uid + 1), PathBuf::from(format!("/tmp/signet-{}", uid + 1)));
        let gone = Environment::of("/", &[("XDG_RUNTIME_DIR", "/nowhere")]);
        assert_eq!(directory(&gone, 7), PathBuf::from("/tmp/signet-7"));
    }

    #[test]
    fn sockets_are_named_after_the_state_directory() {
        // printf %s /home/a/.local/state/signet | sha256sum
        assert_eq!(file_name(Path::new("/home/a/.local/state/signet")), "agent-5126c699ae71ee23.sock");
        assert_ne!(file_name(Path::new("/a")), file_name(Path::new("/b")));
    }

    #[test]
    fn an_address_is_a_unix_path() {
        let environment = Environment::of("/cwd", &[("HOME", "/h")]);
        let path = |text: &str| named(OsStr::new(text), &environment).ok();
        assert_eq!(path("unix:/run/a.sock"), Some("/run/a.sock".into()));
        assert_eq!(path("unix:a.sock"), Some("/cwd/a.sock".into()));
        for wrong in ["/run/a.sock", "tcp:1", "unix:", ""] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_private_directory_holds_our_socket() {
        let base = tempfile::tempdir().unwrap();
        let uid = uid_of(base.path());
        let made = |name: &str, mode: u32| {
            let path = base.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (private, open, sticky) = (made("private", 0o700), made("open", 0o777), made("sticky", 0o1777));
        let readable = made("readable", 0o755);
        let link = base.path().join("link");
        symlink(&private, &link).unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, private, guarded) in [
            (&private, Some(true), Some(true)),
            (&readable, None, Some(true)),
            (&open, None, None),
            (&sticky, None, Some(true)),
            (&link, None, Some(true)),
            (&file, None, None),
            (&base.path().join("gone"), Some(false), Some(false)),
        ] {
            assert_eq!(check_directory(path, uid, Demand::Private).ok(), private, "private {}", path.display());
            assert_eq!(check_directory(path, uid, Demand::Guarded).ok(), guarded, "guarded {}", path.display());
        }
        let stranger = check_directory(&private, uid + 1, Demand::Private).unwrap_err();
        assert!(stranger.contains("belongs to user"), "{stranger}");
    }

    #[tokio::test]
    async fn nobody_and_strangers_are_told_apart() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let socket = base.path().join("a.sock");
        assert!(matches!(connect(&socket, Demand::Private).await, Ok(Found::Nobody(_))));
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(matches!(connect(&socket, Demand::Private).await, Ok(Found::Nobody(_))), "a stale socket is nobody");
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let Err(error) = connect(&socket, Demand::Private).await else { panic!("connected") };
        assert!(matches!(error, AgentError::ForeignSocket { .. }), "{error}");
    }
}
