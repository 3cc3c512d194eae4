//! The process, composed in the order in which data flows; and its end, in the reverse order.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    caller::Principal,
    clock::{Clock, SystemClock},
    config::{Config, ConfigError, YubikeysConfig},
    keystore::{Attestations, Keystores, StartError},
    ledger::{Ledger, Limits, OpenError, WriterEnded},
    listen::{self, Activity, ServeError},
    paths::{Environment, PathError, private_dir},
    rpc::{About, Services},
    sign::Signing,
};

/// Requests in flight may take so long at the end.
const GRACE: Duration = Duration::from_secs(5);

/// How often the machine is asked whether it was asleep, and what counts as sleep.
const SLEEP_CHECK: Duration = Duration::from_secs(1);
const SLEPT: Duration = Duration::from_millis(500);

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--idle-timeout`, in seconds
    pub idle_timeout: Option<u64>,
}

/// The agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A directory.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another agent serves this ledger.
    #[error("another agent (pid {pid}) serves the ledger in {}: stop it with `signet agent stop`", state_dir.display())]
    Running {
        /// Its process.
        pid: String,
        /// The directory that both want.
        state_dir: PathBuf,
    },
    /// A token's module.
    #[error(transparent)]
    Keystore(#[from] StartError),
    /// The anchors of attestations.
    #[error("{0}")]
    Attestation(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// A file, a socket, a signal.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The server failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The ledger's thread ended while the agent ran.
    #[error("the ledger's writer ended: the agent cannot record, so it ends")]
    WriterEnded,
    /// No randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// Runs until a signal, or until it is idle for long. `ready` is called with the socket once it listens.
///
/// # Errors
/// [`DaemonError`].
pub async fn run(options: Options, ready: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), DaemonError> {
    let uid = rustix::process::geteuid().as_raw();
    let environment = Environment::of_process();
    let (config, config_file) = Config::load(options.config.as_deref(), &environment.config_files(), uid)?;
    let state_dir = options.state_dir.map_or_else(|| environment.state_dir(), Ok)?;
    private_dir(&state_dir, uid)?;
    let mut lock = lock(&state_dir)?;
    let owner = Principal::from_uid(uid);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let limits = Limits { jump: config.guard.jump_limit };
    let (ledger, writer_ended) =
        Ledger::open(&state_dir.join("ledger.db"), owner.clone(), limits, clock.clone(), random_id()?)?;
    let yubikeys = YubikeysConfig { serve: config.yubikeys.serve, listed: config.yubikey.clone() };
    let attestations = Attestations::open(state_dir.join("attestations"), &config.attestation.anchors)
        .map_err(DaemonError::Attestation)?;
    let keystores = Keystores::start(&config.token, &yubikeys, attestations)?;
    let socket = options.socket.unwrap_or_else(|| environment.socket(&state_dir, uid));
    writeln!(lock, "{}", socket.display())
        .map_err(|source| DaemonError::Io { what: state_dir.join("agent.lock").display().to_string(), source })?;
    let idle_timeout_seconds = options.idle_timeout.unwrap_or(config.agent.idle_timeout_seconds);
    let about = About {
        started: clock.now().unix_timestamp(),
        state_dir,
        config_file,
        idle_timeout_seconds,
        unlock_seconds: config.keys.unlock_seconds,
        generate: generation_rules(&config),
    };
    let signing = Signing {
        ledger,
        keystores,
        clock,
        max_bytes: config.agent.max_request_bytes,
        fallback: config.keys.fallback,
        attested_roles: config.keys.attested_roles.into(),
    };
    let services =
        Services { signing, owner, tasks: TaskTracker::new(), ending: CancellationToken::new(), about: about.into() };
    serve(services, &socket, uid, writer_ended, idle_timeout_seconds, ready).await
}

async fn serve(
    services: Services,
    socket: &Path,
    uid: u32,
    mut writer_ended: WriterEnded,
    idle_timeout_seconds: u64,
    ready: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), DaemonError> {
    let io = |what: String| move |source| DaemonError::Io { what, source };
    if let Some(dir) = socket.parent() {
        private_dir(dir, uid)?;
    }
    // Whoever finds the socket may ask the agent to end.
    let mut signals = Signals::listen().map_err(io("signals".to_owned()))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io("signals".to_owned()))?;
    let bound = listen::bind(socket).map_err(io(format!("socket {}", socket.display())))?;
    let (activity, connections) = Activity::new();
    let Services { tasks, ending, signing: Signing { keystores, ledger, .. }, .. } = services.clone();
    let server = bound.serve(services.routes(), activity, ending.clone().cancelled_owned());
    let mut server = Box::pin(server);
    ready(socket).map_err(io("the ready message".to_owned()))?;
    tracing::info!(socket = %socket.display(), pid = std::process::id(), "ready");
    tokio::select! {
        served = &mut server => return served.map_err(Into::into),
        _ = &mut writer_ended => {
            return Err(DaemonError::WriterEnded);
        }
        () = forget_when_told(&mut hangup, &keystores) => {}
        () = signals.end() => tracing::info!("asked to end"),
        () = idle(connections, &keystores, idle_timeout_seconds) => tracing::info!("idle, ending"),
    }
    // No new connection from here on; what is being signed is finished and recorded.
    ending.cancel();
    tasks.close();
    let drained = async move {
        // The server and its services go with the first; with the last door to the ledger its writer writes what is
        // left, tidies its file and ends.
        let (served, ()) = tokio::join!(server, tasks.wait());
        drop((keystores, ledger));
        drop(writer_ended.await);
        tracing::info!("ended");
        served
    };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        tracing::warn!("something was still open at the end");
    }
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Forgets PINs and passphrases on SIGHUP, and when the machine was asleep: whoever wakes it may be another.
async fn forget_when_told(hangup: &mut Signal, keystores: &Keystores) {
    let mut asleep = time_asleep();
    loop {
        let why = tokio::select! {
            told = hangup.recv() => match told {
                Some(()) => "told to",
                None => return std::future::pending().await,
            },
            () = tokio::time::sleep(SLEEP_CHECK) => {
                // A pause between its two readings makes it too small once, never too large.
                let before = asleep;
                asleep = before.max(time_asleep());
                if asleep.saturating_sub(before) < SLEPT {
                    continue;
                }
                "the machine was asleep"
            }
        };
        tracing::info!(why, "forgetting PINs and passphrases");
        keystores.forget().await;
    }
}

/// How long the machine was suspended since it was started.
fn time_asleep() -> Duration {
    let read = |clock| {
        let now = rustix::time::clock_gettime(clock);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    };
    let since_start = read(rustix::time::ClockId::Boottime);
    since_start.saturating_sub(read(rustix::time::ClockId::Monotonic))
}

/// Waits until nobody was connected for so long, and no token is unlocked for good.
async fn idle(mut connections: watch::Receiver<usize>, keystores: &Keystores, seconds: u64) {
    if seconds == 0 {
        return std::future::pending().await;
    }
    let timeout = Duration::from_secs(seconds);
    loop {
        let open = *connections.borrow_and_update() > 0;
        match tokio::time::timeout(timeout, connections.changed()).await {
            Err(_) if !open && !keystores.tokens().await.iter().any(|token| token.unlocked) => return,
            Ok(Err(_)) => return,
            Err(_) | Ok(Ok(())) => {}
        }
    }
}

/// One agent for a ledger, as long as it lives. The lock's file tells the process and, on its second line, the socket:
/// a client with another XDG_RUNTIME_DIR finds it by that.
fn lock(state_dir: &Path) -> Result<File, DaemonError> {
    let path = state_dir.join("agent.lock");
    let io = |source| DaemonError::Io { what: path.display().to_string(), source };
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(io)?;
            let pid = text.lines().next().unwrap_or("unknown").to_owned();
            return Err(DaemonError::Running { pid, state_dir: state_dir.to_owned() });
        }
        Err(error) => return Err(io(error.into())),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}

fn generation_rules(config: &Config) -> Vec<(String, String)> {
    let tokens = config.token.iter().map(|token| (token.name().to_owned(), &token.roles));
    let yubikeys = config.yubikey.iter().map(|yubikey| (yubikey.serial.to_string(), &yubikey.roles));
    tokens
        .chain(yubikeys)
        .flat_map(|(name, roles)| roles.iter().map(move |role| (role.clone(), name.clone())))
        .collect()
}

fn random_id() -> Result<[u8; 16], DaemonError> {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| DaemonError::Random)?;
    Ok(id)
}
