//! A server that misbehaves where a story wants it, and otherwise passes everything on to the real notary-server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::{NotaryServer, door::Door};

/// One bad answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// HTTP as it should be.
    Http {
        /// The status line's end, such as `500 Internal Server Error`.
        status: &'static str,
        /// One more header line, or nothing.
        header: String,
        /// The body.
        body: Vec<u8>,
    },
    /// Announces more than comes, and hangs up.
    Truncated {
        /// What comes.
        body: Vec<u8>,
        /// What was announced.
        announced: usize,
    },
    /// Announces nothing and sends zeros until so many bytes are sent or the other end hangs up.
    Flood {
        /// How many.
        bytes: u64,
    },
    /// A byte at a time, and then nothing more; the connection stays open.
    Drip {
        /// What comes.
        body: Vec<u8>,
        /// What was announced.
        announced: usize,
    },
    /// Nothing; the connection stays open.
    Silence,
    /// These bytes, which need not be HTTP.
    Raw(Vec<u8>),
}

type Mischief = dyn Fn(&str, &[(String, String)]) -> Option<Answer> + Send + Sync;

/// A plain HTTP server on a port of its own.
pub struct BadServer {
    door: Door,
    shared: Arc<Shared>,
}

struct Shared {
    mischief: Box<Mischief>,
    behind: Behind,
    seen: Mutex<Vec<String>>,
}

/// The real server.
struct Behind {
    url: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl BadServer {
    /// Stands before `real`. `mischief` gets each request as `METHOD /path`; none: the real server answers.
    pub fn before(
        real: &NotaryServer,
        mischief: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::before_with(real, move |request, _| mischief(request))
    }

    /// The same, with the headers of each request, their names in lower case.
    pub fn before_with(
        real: &NotaryServer,
        mischief: impl Fn(&str, &[(String, String)]) -> Option<Answer> + Send + Sync + 'static,
    ) -> Result<Self> {
        let behind = Behind {
            url: real.url(),
            http: reqwest::Client::builder()
                .tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(real.ca())?)?])
                .build()?,
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
        };
        let shared = Arc::new(Shared { mischief: Box::new(mischief), behind, seen: Mutex::default() });
        let served = Arc::clone(&shared);
        let door = Door::open(move |stream| served.serve(&stream))?;
        Ok(Self { door, shared })
    }

    /// The base URL, as `-s` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.door.port())
    }

    /// Host and port, as messages name it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.door.port())
    }

    /// Every request so far, as `METHOD /path`.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream);
        let (request, headers) = head(&mut reader)?;
        let header = |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        let length = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let answer = match (self.mischief)(&request, &headers) {
            Some(answer) => answer,
            None => self.behind.pass_on(
                &request,
                &["content-type", "authorization"].map(|name| (name, header(name))),
                body,
            )?,
        };
        Ok(answer.send(stream)?)
    }
}

fn head(reader: &mut impl BufRead) -> Result<(String, Vec<(String, String)>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let request = line.rsplit_once(' ').context("a request line")?.0.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { return Ok((request, headers)) };
        headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
    }
}

impl Behind {
    fn pass_on(&self, request: &str, headers: &[(&str, Option<String>)], body: Vec<u8>) -> Result<Answer> {
        let (method, path) = request.split_once(' ').context("a method and a path")?;
        let mut sent = self.http.request(method.parse()?, format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            sent = value.iter().fold(sent, |sent, value| sent.header(*name, value));
        }
        self.runtime.block_on(async {
            let answer = sent.send().await?;
            let status = match answer.status().as_u16() {
                200 => "200 OK",
                400 => "400 Bad Request",
                401 => "401 Unauthorized",
                404 => "404 Not Found",
                _ => "502 Bad Gateway",
            };
            let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
            let header = challenge.map(|challenge| format!("WWW-Authenticate: {challenge}")).unwrap_or_default();
            Ok(Answer::Http { status, header, body: answer.bytes().await?.to_vec() })
        })
    }
}

impl Answer {
    /// A body with status 200.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Http { status: "200 OK", header: String::new(), body: body.into() }
    }

    fn send(self, mut stream: &TcpStream) -> io::Result<()> {
        let announce =
            |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        match self {
            Self::Http { status, header, body } => {
                let header = if header.is_empty() { header } else { format!("{header}\r\n") };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{header}\r\n");
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body)
            }
            Self::Truncated { body, announced } => {
                stream.write_all(announce(announced).as_bytes())?;
                stream.write_all(&body)
            }
            Self::Flood { bytes } => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                io::copy(&mut io::repeat(b'0').take(bytes), &mut stream).map(drop)
            }
            Self::Drip { body, announced } => {
                stream.set_nodelay(true)?;
                stream.write_all(announce(announced).as_bytes())?;
                for byte in body {
                    stream.write_all(&[byte])?;
                }
                // Ends when the other side has had enough.
                stream.read(&mut [0]).map(drop)
            }
            Self::Silence => stream.read(&mut [0]).map(drop),
            Self::Raw(bytes) => stream.write_all(&bytes),
        }
    }
}
