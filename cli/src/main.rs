//! `signet`: the client of signet-agent, with Notary's command language.
//!
//! Composes a command out of its parts: arguments, configuration, context, run, exit. Decides nothing about metadata or keys.

pub mod agent;
pub mod args;
pub mod collection;
pub mod commands;
pub mod config;
pub mod context;
pub mod exit;
pub mod log;
pub mod prompt;
pub mod render;
pub mod server;
pub mod trustdir;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::SUCCESS
}
