//! Who serves a state directory, by `agent.lock` there: the agent keeps it locked, and writes its process on the first line and
//! its socket on the second. An agent that was started with another `XDG_RUNTIME_DIR` is found by that.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, test_kill_process},
};

use super::{
    AgentError,
    socket::{self, Demand, Found, Link},
};

/// Two lines of which one is a path.
const MAX_BYTES: u64 = 16 << 10;

/// What `agent.lock` says.
struct Holder {
    pid: Pid,
    socket: Option<PathBuf>,
    file: File,
}

/// Whether another process runs the agent of this state directory; it may not listen yet.
#[must_use]
pub(super) fn lives(state_dir: &Path) -> bool {
    read(state_dir).is_some()
}

/// A connection to the agent that has locked a state directory, wherever it listens; none if nobody has.
///
/// # Errors
/// [`AgentError::Elsewhere`] if there is one and it cannot be reached.
pub(super) async fn connect(state_dir: &Path) -> Result<Option<Link>, AgentError> {
    let Some(holder) = read(state_dir).filter(is_locked) else { return Ok(None) };
    let (pid, state_dir) = (holder.pid.as_raw_nonzero().get(), state_dir.to_owned());
    let elsewhere = |cause| AgentError::Elsewhere { pid, state_dir, cause };
    let Some(socket) = holder.socket else {
        return Err(elsewhere("agent.lock does not say where it listens".to_owned()));
    };
    match socket::connect(&socket, Demand::Private).await {
        Ok(Found::Agent(link)) => Ok(Some(link)),
        Ok(Found::Nobody(error)) => Err(elsewhere(format!("{}: {error}", socket.display()))),
        Err(error) => Err(elsewhere(error.to_string())),
    }
}

/// None if the process is gone: then the file is only left over.
fn read(state_dir: &Path) -> Option<Holder> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let path = state_dir.join("agent.lock");
    let mut file = OpenOptions::new().read(true).custom_flags(nofollow).open(path).ok()?;
    let found = file.metadata().ok()?;
    if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let mut text = String::new();
    Read::by_ref(&mut file).take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
    test_kill_process(pid).ok()?;
    let socket = lines.next().map(PathBuf::from).filter(|path| path.is_absolute());
    Some(Holder { pid, socket, file })
}

/// Only asked of a process that lives: where nobody does, an agent may be starting, and must get the lock.
fn is_locked(holder: &Holder) -> bool {
    flock(&holder.file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, Permissions},
        os::unix::{fs::PermissionsExt, net::UnixListener},
        process,
    };

    use rustix::fs::{FlockOperation, flock};

    use super::{connect, lives};
    use crate::agent::AgentError;

    #[test]
    fn an_agent_lives_as_long_as_its_process() {
        let base = tempfile::tempdir().unwrap();
        assert!(!lives(base.path()));
        for (text, expected) in [
            (format!("{}\n", process::id()), true),
            (format!("{}\n/run/a.sock\n", process::id()), true),
            ("0".to_owned(), false),
            (String::new(), false),
        ] {
            fs::write(base.path().join("agent.lock"), &text).unwrap();
            assert_eq!(lives(base.path()), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn the_holder_of_the_lock_is_reached_where_it_listens() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), Permissions::from_mode(0o700)).unwrap();
        let (path, socket) = (base.path().join("agent.lock"), base.path().join("a.sock"));
        assert!(connect(base.path()).await.unwrap().is_none(), "no lock");
        fs::write(&path, format!("{}\n", process::id())).unwrap();
        assert!(connect(base.path()).await.unwrap().is_none(), "nobody holds it");
        let held = File::open(&path).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let cause = async || match connect(base.path()).await {
            Err(AgentError::Elsewhere { pid, cause, .. }) if u32::try_from(pid) == Ok(process::id()) => Some(cause),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        };
        assert!(cause().await.unwrap().contains("does not say"));
        fs::write(&path, format!("{}\n{}\n", process::id(), socket.display())).unwrap();
        assert!(cause().await.unwrap().contains("a.sock"), "nobody listens");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(connect(base.path()).await.unwrap().unwrap().socket, socket);
        fs::set_permissions(base.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(cause().await.unwrap().contains("755"), "the directory is checked as always");
    }
}
