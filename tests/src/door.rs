//! Where a server of a story's own listens: a port of its own, and a thread for whoever knocks.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;

/// Open until it is dropped.
pub(crate) struct Door {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Door {
    /// Serves everybody who connects, each in a thread. Many stories are about clients that hang up in the middle, so
    /// what becomes of one is nobody's concern.
    pub(crate) fn open(serve: impl Fn(TcpStream) -> Result<()> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (ended, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let has_ended = Arc::clone(&ended);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if has_ended.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || stream.map_err(Into::into).and_then(|stream| serve(stream)).ok());
            }
        });
        Ok(Self { port, ended })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}
