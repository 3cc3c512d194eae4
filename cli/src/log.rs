//! Log lines on stderr, in the form of Notary's (logrus): `time="…" level=warning msg="…"`, or `WARN[0000] …` on a terminal.
//!
//! The rest of the client writes them with `tracing::warn!`, `info!` and `debug!`.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    io::{self, IsTerminal, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// How a line is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Terminal,
    Pairs,
}

impl Layout {
    fn of_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Terminal } else { Self::Pairs }
    }

    fn line(self, level: Level, since_start: Duration, message: &str) -> String {
        match self {
            Self::Terminal => on_terminal(level, since_start.as_secs(), message),
            Self::Pairs => in_pairs(level, OffsetDateTime::now_utc(), message),
        }
    }
}

/// Writes this crate's events to stderr, the same one once.
struct Stderr {
    most: Level,
    layout: Layout,
    started: Instant,
    said: Mutex<BTreeSet<String>>,
}

/// Sends events of `most` and worse to stderr from now on.
pub fn start(most: Level) {
    let subscriber = Stderr { most, layout: Layout::of_stderr(), started: Instant::now(), said: Mutex::default() };
    // Fails only if a subscriber is set already, and then lines go there.
    drop(tracing::subscriber::set_global_default(subscriber));
}

impl Subscriber for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries log what they send; only what this crate says is meant for people.
        metadata.is_event() && *metadata.level() <= self.most && metadata.target().starts_with("signet")
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.insert(message.0.clone()) {
            return;
        }
        let line = self.layout.line(*event.metadata().level(), self.started.elapsed(), &message.0);
        // Nobody is left to tell if stderr is gone.
        drop(io::stderr().write_all(line.as_bytes()));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        debug_assert!(written.is_ok(), "writing to a string succeeds");
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

fn in_pairs(level: Level, now: OffsetDateTime, message: &str) -> String {
    let time = now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default();
    format!("time=\"{time}\" level={} msg={message:?}\n", level_name(level))
}

fn on_terminal(level: Level, seconds: u64, message: &str) -> String {
    let (name, colour) = match level {
        Level::ERROR => ("ERRO", 31),
        Level::WARN => ("WARN", 33),
        Level::INFO => ("INFO", 36),
        Level::DEBUG | Level::TRACE => ("DEBU", 37),
    };
    // logrus TextFormatter: fields would start in a column of their own.
    format!("\u{1b}[{colour}m{name}\u{1b}[0m[{seconds:04}] {:<44} \n", visible(message))
}

/// `text` without control characters, which a server could send to a terminal.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, char| {
        if char.is_control() {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use tracing::Level;

    use super::{in_pairs, on_terminal, visible};

    #[test]
    fn lines_look_like_notarys() {
        assert_eq!(
            in_pairs(Level::WARN, datetime!(2026-08-01 10:11:12.5 UTC), "could not reach \"x\""),
            "time=\"2026-08-01T10:11:12Z\" level=warning msg=\"could not reach \\\"x\\\"\"\n"
        );
        let padded = format!("\u{1b}[33mWARN\u{1b}[0m[0003] careful{} \n", " ".repeat(37));
        assert_eq!(on_terminal(Level::WARN, 3, "careful"), padded);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jé\n漢"), "a\\u{1b}[2Jé\\n漢");
    }
}
