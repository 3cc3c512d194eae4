//! The door: a Unix socket, and who is at the other end of it.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream},
    sync::watch,
};
use tokio_stream::{Stream, StreamExt, wrappers::UnixListenerStream};
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};

use crate::caller::{Connection, Principal};

/// Without descriptors, accepting fails at once and again: time for some to be given back.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Metadata can be large, and the caller is on this machine: a document is not to wait for leave after every 64 KiB.
const WINDOW_BYTES: u32 = 4 << 20;
const FRAME_BYTES: u32 = 1 << 20;

/// How many connections are open: the daemon ends when it is idle for long.
#[derive(Debug, Clone)]
pub struct Activity(Arc<watch::Sender<usize>>);

impl Activity {
    /// Nobody is connected.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<usize>) {
        let (sender, receiver) = watch::channel(0);
        (Self(sender.into()), receiver)
    }

    fn enter(&self) -> Presence {
        self.0.send_modify(|open| *open = open.saturating_add(1));
        Presence(self.clone())
    }
}

/// One open connection.
#[derive(Debug)]
struct Presence(Activity);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// Binds the socket. The caller holds the ledger's lock, so a socket that is there is stale.
///
/// # Errors
/// The system's.
pub fn bind(path: &Path) -> io::Result<Socket> {
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(Socket { listener, path: path.to_owned() })
}

/// Removes a socket that nobody listens on, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there")),
        Err(_) => fs::remove_file(path),
    }
}

/// A bound socket; its name goes when this goes.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Serves until `stop` resolves; then no connection is taken any more and the open ones are finished.
    ///
    /// # Errors
    /// [`ServeError`] if the transport fails.
    pub async fn serve(
        self,
        routes: Routes,
        activity: Activity,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let Self { listener, path } = self;
        let name = SocketName(path);
        let stop = async move {
            stop.await;
            drop(name);
        };
        Ok(Server::builder()
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming(listener, activity), stop)
            .await?)
    }
}

/// The transport failed.
#[derive(Debug, thiserror::Error)]
#[error("the server failed: {0}")]
pub struct ServeError(#[from] tonic::transport::Error);

/// The connections that arrive, each with its peer's identity; one without is turned away.
fn incoming(listener: UnixListener, activity: Activity) -> impl Stream<Item = io::Result<Peer>> {
    let admitted = UnixListenerStream::new(listener).then(move |accepted| {
        let peer = accepted.and_then(|stream| Peer::new(stream, &activity));
        async move {
            if let Err(error) = &peer {
                tracing::warn!(%error, "a connection was turned away");
                tokio::time::sleep(AFTER_ERROR).await;
            }
            peer.ok()
        }
    });
    admitted.filter_map(|peer| peer.map(Ok))
}

/// Removes the socket's name at the end.
#[derive(Debug)]
struct SocketName(PathBuf);

impl Drop for SocketName {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, "the socket's name was gone already");
        }
    }
}

/// A connection whose other end the kernel has identified (SO_PEERCRED).
#[derive(Debug)]
struct Peer {
    stream: UnixStream,
    connection: Arc<Connection>,
    _presence: Presence,
}

impl Peer {
    fn new(stream: UnixStream, activity: &Activity) -> io::Result<Self> {
        let uid = stream.peer_cred()?.uid();
        let connection = Arc::new(Connection::new(Principal::from_uid(uid)));
        Ok(Self { stream, connection, _presence: activity.enter() })
    }
}

impl Connected for Peer {
    type ConnectInfo = Arc<Connection>;

    fn connect_info(&self) -> Arc<Connection> {
        self.connection.clone()
    }
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
