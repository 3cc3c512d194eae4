//! What the process gives up before it holds a secret.

use rustix::{
    fs::Mode,
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask},
};

/// No core files, no debugger of the same user, no file that others can read, and no secret in swap where the
/// system allows it. Failing to lock memory is said, all else is an error.
///
/// # Errors
/// The system's.
pub fn harden() -> rustix::io::Result<()> {
    umask(Mode::RWXG | Mode::RWXO);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Under a limit, later allocations would fail instead: then swap must be encrypted or off.
    if getrlimit(Resource::Memlock).current.is_none() {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    } else {
        tracing::info!("memory is not locked: RLIMIT_MEMLOCK is not unlimited");
    }
    Ok(())
}
