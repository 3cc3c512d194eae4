//! The touches that are wanted, as a person sees them.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use rustix::termios::tcgetwinsize;
use signet_proto::v1::{self, token_event::Kind};

use super::purpose;
use crate::{agent::token::named, render::cut_left};

/// Columns of a terminal that does not tell.
const COLUMNS: usize = 80;
/// Back to the beginning of the line, and all of it erased.
const ERASE: &str = "\r\u{1b}[2K";

/// A touch that is wanted.
struct Wanted {
    /// The agent's name of the token.
    token: String,
    /// What a person calls it.
    named: String,
    role: String,
    gun: String,
    perhaps: bool,
    /// None if the agent does not say how long.
    until: Option<Instant>,
}

impl Wanted {
    fn of(event: &v1::TokenEvent, token: &v1::Token, now: Instant) -> Self {
        let time = Duration::from_secs(u64::from(event.seconds_left));
        Self {
            token: token.name.clone(),
            named: named(&v1::Token { kind: v1::TokenKind::Yubikey.into(), ..token.clone() }),
            role: event.role.clone(),
            gun: event.gun.clone(),
            perhaps: event.perhaps,
            until: now.checked_add(time).filter(|_| !time.is_zero()),
        }
    }

    /// The sentence, at most `columns` wide if the collection's name can be cut so far.
    fn sentence(&self, now: Instant, columns: Option<usize>) -> String {
        let whole = self.with_gun(&self.gun, now);
        let excess = columns.map_or(0, |columns| whole.chars().count().saturating_sub(columns));
        if excess == 0 {
            return whole;
        }
        self.with_gun(&cut_left(&self.gun, self.gun.len().saturating_sub(excess)), now)
    }

    fn with_gun(&self, gun: &str, now: Instant) -> String {
        let what = match purpose(&self.role, gun).as_str() {
            "" => String::new(),
            what => format!(" ({what})"),
        };
        let time = match self.until.map(|until| seconds(until.saturating_duration_since(now))) {
            None => String::new(),
            Some(1) => ", 1 second left".to_owned(),
            Some(seconds) => format!(", {seconds} seconds left"),
        };
        if self.perhaps {
            format!("{} may want to be touched{what}{time}.", self.named)
        } else {
            format!("Touch {}{what}{time}.", self.named)
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(left: Duration) -> u64 {
    left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0))
}

/// How a wanted touch is shown.
#[derive(Clone, Copy)]
enum Layout {
    /// In one line that counts down and goes away.
    Terminal {
        /// How wide the terminal is.
        columns: fn() -> usize,
    },
    /// A line for each.
    Lines,
}

/// The touches that are wanted now, one for each token, the newest last.
pub(super) struct Board<W> {
    out: W,
    layout: Layout,
    wanted: Vec<Wanted>,
    is_drawn: bool,
}

impl Board<io::Stderr> {
    /// Shows them where the program's standard error goes.
    pub(super) fn stderr() -> Self {
        let layout = if io::stderr().is_terminal() { Layout::Terminal { columns } } else { Layout::Lines };
        Self::new(io::stderr(), layout)
    }
}

fn columns() -> usize {
    tcgetwinsize(io::stderr())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|columns| *columns > 0)
        .unwrap_or(COLUMNS)
}

impl<W: Write> Board<W> {
    const fn new(out: W, layout: Layout) -> Self {
        Self { out, layout, wanted: Vec::new(), is_drawn: false }
    }

    /// Notes what an event says of a touch, and shows it.
    pub(super) fn hear(&mut self, event: &v1::TokenEvent, now: Instant) {
        let Some(token) = &event.token else { return };
        let former = self.wanted.iter().position(|wanted| wanted.token == token.name);
        let former = former.map(|at| self.wanted.remove(at));
        match event.kind() {
            Kind::TouchWanted => {
                let wanted = Wanted::of(event, token, now);
                let is_told = former.is_some_and(|former| former.role == wanted.role && former.gun == wanted.gun);
                if !is_told && matches!(self.layout, Layout::Lines) {
                    self.write(&format!("{}\n", wanted.sentence(now, None)));
                }
                self.wanted.push(wanted);
            }
            Kind::TouchEnded | Kind::Removed => {}
            Kind::Unspecified | Kind::Inserted | Kind::TriesLeft => self.wanted.extend(former),
        }
        self.draw(now);
    }

    /// Whether there is a line whose seconds go by.
    pub(super) const fn counts_down(&self) -> bool {
        matches!(self.layout, Layout::Terminal { .. }) && !self.wanted.is_empty()
    }

    /// Writes the line that counts down, or takes it away if nothing is wanted.
    pub(super) fn draw(&mut self, now: Instant) {
        let Layout::Terminal { columns } = self.layout else { return };
        // the last column stays free: a cursor behind it may be in the next line
        let room = columns().saturating_sub(1);
        match self.wanted.last().map(|wanted| wanted.sentence(now, Some(room))) {
            Some(sentence) => {
                self.write(&format!("{ERASE}{sentence}"));
                self.is_drawn = true;
            }
            None => self.hide(),
        }
    }

    /// Takes the line away, so that something else can be written there.
    pub(super) fn hide(&mut self) {
        if self.is_drawn {
            self.write(ERASE);
            self.is_drawn = false;
        }
    }

    fn write(&mut self, text: &str) {
        // nobody is left to tell if stderr is gone
        drop(self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use signet_proto::v1::{self, token_event::Kind};

    use super::{Board, ERASE, Layout};

    fn event(kind: Kind, serial: &str, role: &str, gun: &str) -> v1::TokenEvent {
        v1::TokenEvent {
            kind: kind.into(),
            token: Some(v1::Token { name: serial.to_owned(), serial: serial.to_owned(), ..v1::Token::default() }),
            role: role.to_owned(),
            gun: gun.to_owned(),
            seconds_left: if kind == Kind::TouchWanted { 15 } else { 0 },
            ..v1::TokenEvent::default()
        }
    }

    fn wanted() -> v1::TokenEvent {
        event(Kind::TouchWanted, "4711", "root", "example.com/acme/app")
    }

    fn told(layout: Layout, events: &[v1::TokenEvent]) -> String {
        let mut board = Board::new(Vec::new(), layout);
        let now = Instant::now();
        for event in events {
            board.hear(event, now);
        }
        String::from_utf8(board.out).unwrap()
    }

    #[test]
    fn a_touch_is_asked_for_in_one_line() {
        const LINE: &str = "Touch YubiKey 4711 (root of example.com/acme/app), 15 seconds left.\n";
        let ended = event(Kind::TouchEnded, "4711", "root", "example.com/acme/app");
        let perhaps = v1::TokenEvent { perhaps: true, ..wanted() };
        let timeless = v1::TokenEvent { seconds_left: 0, ..wanted() };
        for (events, expected) in [
            (vec![wanted()], LINE.to_owned()),
            (vec![wanted(), wanted(), ended.clone()], LINE.to_owned()),
            (vec![wanted(), ended.clone(), wanted()], format!("{LINE}{LINE}")),
            (vec![ended, event(Kind::Inserted, "4711", "", ""), event(Kind::TriesLeft, "4711", "", "")], String::new()),
            (
                vec![perhaps],
                "YubiKey 4711 may want to be touched (root of example.com/acme/app), 15 seconds left.\n".to_owned(),
            ),
            (vec![timeless], "Touch YubiKey 4711 (root of example.com/acme/app).\n".to_owned()),
            (vec![event(Kind::TouchWanted, "4711", "", "")], "Touch YubiKey 4711, 15 seconds left.\n".to_owned()),
            (
                vec![wanted(), event(Kind::TouchWanted, "4711", "targets", "g\u{1b}[2J")],
                format!("{LINE}Touch YubiKey 4711 (targets of g\\u{{1b}}[2J), 15 seconds left.\n"),
            ),
        ] {
            assert_eq!(told(Layout::Lines, &events), expected);
        }
    }

    #[test]
    fn on_a_terminal_the_line_counts_down_and_goes_away() {
        let mut board = Board::new(Vec::new(), Layout::Terminal { columns: || 80 });
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        board.hear(&wanted(), start);
        assert!(board.counts_down());
        for millis in [1000, 13_500, 15_000, 16_000] {
            board.draw(after(millis));
        }
        board.hear(&event(Kind::TouchEnded, "4711", "root", "example.com/acme/app"), after(16_000));
        assert!(!board.counts_down());
        board.hide();
        let line = |time: &str| format!("{ERASE}Touch YubiKey 4711 (root of example.com/acme/app), {time} left.");
        let times = ["15 seconds", "14 seconds", "2 seconds", "0 seconds", "0 seconds"].map(line).concat();
        assert_eq!(String::from_utf8(board.out).unwrap(), format!("{times}{ERASE}"));
    }

    #[test]
    fn a_hidden_line_comes_back_while_the_touch_is_wanted() {
        let mut board = Board::new(Vec::new(), Layout::Terminal { columns: || 80 });
        let now = Instant::now();
        board.hear(&wanted(), now);
        board.hide();
        board.hide();
        assert!(board.counts_down());
        board.draw(now);
        let line = format!("{ERASE}Touch YubiKey 4711 (root of example.com/acme/app), 15 seconds left.");
        assert_eq!(String::from_utf8(board.out).unwrap(), format!("{line}{ERASE}{line}"));
    }

    #[test]
    fn the_end_of_one_touch_shows_the_other() {
        let layout = Layout::Terminal { columns: || 80 };
        let other = event(Kind::TouchWanted, "12", "root", "");
        let shown = told(layout, &[wanted(), other, event(Kind::TouchEnded, "12", "root", "")]);
        let lines: Vec<&str> = shown.split(ERASE).skip(1).collect();
        assert_eq!(
            lines,
            [
                "Touch YubiKey 4711 (root of example.com/acme/app), 15 seconds left.",
                "Touch YubiKey 12 (root), 15 seconds left.",
                "Touch YubiKey 4711 (root of example.com/acme/app), 15 seconds left.",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_the_name_of_the_collection() {
        let shown = told(Layout::Terminal { columns: || 61 }, &[wanted()]);
        assert_eq!(shown, format!("{ERASE}Touch YubiKey 4711 (root of ...m/acme/app), 15 seconds left."));
    }
}
