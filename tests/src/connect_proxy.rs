//! A proxy as companies have one: HTTP CONNECT, for which every name is this machine.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::door::Door;

/// User name and password that a proxy wants.
pub const PROXY_USER: (&str, &str) = ("proxy-user", "proxy password");

/// What a proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Connects everybody.
    Kind,
    /// Connects who shows [`PROXY_USER`], and answers 407 to others.
    Asks,
    /// Answers 403.
    Refuses,
}

/// A running proxy.
pub struct ConnectProxy {
    door: Door,
    shared: Arc<Shared>,
}

struct Shared {
    temper: Temper,
    seen: Mutex<Vec<String>>,
}

impl ConnectProxy {
    /// Starts one.
    pub fn start(temper: Temper) -> Result<Self> {
        let shared = Arc::new(Shared { temper, seen: Mutex::default() });
        let served = Arc::clone(&shared);
        let door = Door::open(move |stream| served.serve(stream))?;
        Ok(Self { door, shared })
    }

    /// The URL, as `HTTPS_PROXY` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.door.port())
    }

    /// The URL with user name and password.
    #[must_use]
    pub fn url_with_user(&self) -> String {
        let (user, password) = PROXY_USER;
        format!("http://{user}:{}@127.0.0.1:{}", password.replace(' ', "%20"), self.door.port())
    }

    /// Every request so far, as `METHOD TARGET`.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> Result<()> {
        let (method, target, authorization) = head(&client)?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {target}"));
        let (user, password) = PROXY_USER;
        let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let status = match self.temper {
            Temper::Refuses => "403 Forbidden",
            Temper::Asks if authorization.as_deref() != Some(&wanted) => "407 Proxy Authentication Required",
            Temper::Asks | Temper::Kind if method != "CONNECT" => "501 Not Implemented",
            Temper::Asks | Temper::Kind => "200 Connection established",
        };
        if !status.starts_with("200") {
            write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            return Ok(());
        }
        let port: u16 = target.rsplit_once(':').context("a port")?.1.parse()?;
        let server = TcpStream::connect(("127.0.0.1", port))?;
        write!(client, "HTTP/1.1 {status}\r\n\r\n")?;
        let back = (server.try_clone()?, client.try_clone()?);
        let returning = thread::spawn(move || pass(back.0, back.1));
        pass(client, server);
        returning.join().unwrap_or_default();
        Ok(())
    }
}

/// One byte at a time, since what follows the head belongs to the server.
fn head(client: &TcpStream) -> Result<(String, String, Option<String>)> {
    let mut reader = BufReader::with_capacity(1, client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().context("a method")?, words.next().context("a target")?);
    let mut authorization = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { return Ok((method, target, authorization)) };
        if name.eq_ignore_ascii_case("proxy-authorization") {
            authorization = Some(value.trim().to_owned());
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    io::copy(&mut from, &mut to).map(drop).unwrap_or_default();
    to.shutdown(Shutdown::Write).unwrap_or_default();
}
