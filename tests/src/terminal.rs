//! A person at a terminal.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::process::Drain;
use crate::{Background, Finished, wait_until};

/// A command on a terminal of its own; the person reads what is shown and types.
pub struct Terminal {
    call: String,
    keyboard: File,
    screen: Drain,
    /// How much of the screen the person has answered already.
    answered: usize,
    process: Background,
    limit: Duration,
}

impl Terminal {
    pub(crate) fn open(call: &str, mut command: Command, limit: Duration) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let person = openpt(flags)?;
        grantpt(&person)?;
        unlockpt(&person)?;
        let program = ioctl_tiocgptpeer(&person, flags)?;
        command.stdin(program.try_clone()?).stdout(program.try_clone()?).stderr(program);
        let child = command.spawn().with_context(|| format!("start {call}"))?;
        // The program's side must be open nowhere else, or the screen would never end.
        drop(command);
        let keyboard = File::from(person);
        let screen = Drain::new(Some(keyboard.try_clone()?));
        let process = Background::of(child, call);
        Ok(Self { call: call.to_owned(), keyboard, screen, answered: 0, process, limit })
    }

    /// Waits until `question` is shown and the terminal hides what is typed, then types `secret`.
    pub fn answer_hidden(&mut self, question: &str, secret: &str) -> Result<()> {
        self.answer_when(question, secret, |modes| !modes.contains(LocalModes::ECHO))
    }

    /// Waits until `question` is shown, then types `answer`.
    pub fn answer(&mut self, question: &str, answer: &str) -> Result<()> {
        self.answer_when(question, answer, |modes| modes.contains(LocalModes::ECHO))
    }

    fn answer_when(&mut self, question: &str, answer: &str, ready: impl Fn(LocalModes) -> bool) -> Result<()> {
        let mut seen = None;
        wait_until(&format!("{question:?} from {}", self.call), self.limit, || {
            let screen = self.screen.text();
            let rest = screen.get(self.answered..).unwrap_or_default();
            seen = rest.find(question).map(|_| screen.len());
            let ready = tcgetattr(&self.keyboard).is_ok_and(|terminal| ready(terminal.local_modes));
            (seen.is_some() && ready) || self.process.exited().is_some()
        })?;
        self.answered = seen.with_context(|| format!("{question:?} was never shown:\n{}", self.screen.text()))?;
        writeln!(self.keyboard, "{answer}").context("type")
    }

    /// Waits for the end; all that was shown is in `stdout`.
    pub fn finish(mut self) -> Result<Finished> {
        wait_until(&format!("the end of {}", self.call), self.limit, || {
            self.process.exited().is_some() && self.screen.at_end()
        })
        .with_context(|| self.screen.text())?;
        let status = self.process.exited().ok_or_else(|| anyhow!("{} has no status", self.call))?;
        Ok(Finished {
            call: self.call,
            code: status.code(),
            stdout: self.screen.text(),
            stderr: String::new(),
            peak_bytes: 0,
        })
    }
}
