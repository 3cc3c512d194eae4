//! A person at a terminal, played by util-linux's script(1).

use anyhow::Result;

use crate::{Call, Finished};

/// Runs `command` (a shell line) on a terminal of its own and types `lines` into it.
///
/// All that the terminal shows is in `stdout`.
pub fn on_terminal(call: &Call, command: &str, lines: &[&str]) -> Result<Finished> {
    let typed: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    call.clone().args(["--quiet", "--return", "--flush", "--command", command, "/dev/null"]).input(typed).finish()
}
