//! `signet`: the client of signet-agent, with Notary's command language.
//!
//! Composes a command out of its parts: arguments, configuration, context, run, exit. Decides nothing about metadata or keys.

pub mod agent;
pub mod args;
pub mod collection;
pub mod commands;
pub mod config;
pub mod context;
pub mod credentials;
pub mod docker;
pub mod environment;
pub mod exit;
pub mod log;
pub mod misuse;
pub mod prompt;
pub mod render;
#[cfg(test)]
mod sample;
pub mod secret;
pub mod server;
pub mod trustdir;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};

use crate::{
    args::Cli,
    commands::version,
    context::Context,
    environment::Environment,
    exit::{CliError, Face, code},
};

fn main() -> ExitCode {
    let face = Face::of(&env::args_os().next().unwrap_or_default());
    match parse(face).and_then(|cli| run(face, cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => face.report(&error, &mut io::stdout(), &mut io::stderr()),
    }
}

/// The arguments; nothing if help was wanted and given.
fn parse(face: Face) -> Result<Option<Cli>, CliError> {
    let arguments: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if arguments == ["help", "exit-codes"] {
        return print(&code::table()).map(|()| None);
    }
    let command = Cli::command().name(face.name()).bin_name(face.name());
    let error = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => return Ok(Some(cli)),
        Err(error) => error,
    };
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) {
        return print(&text).map(|()| None);
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (message, usage) = text.split_once("\n\nUsage:").unwrap_or((text, ""));
    let (message, usage) = match face {
        Face::Notary => {
            (misuse::notary(&error, &arguments).unwrap_or_else(|| message.to_owned()), help(face, &arguments))
        }
        Face::Signet if usage.is_empty() => (message.to_owned(), String::new()),
        Face::Signet => (message.to_owned(), format!("\nUsage:{usage}")),
    };
    Err(CliError::Usage { message: message.trim_end().to_owned(), usage })
}

/// The help of the command that was meant, as far as it can be told.
fn help(face: Face, arguments: &[String]) -> String {
    let mut meant = Cli::command().name(face.name()).bin_name(face.name());
    meant.build();
    for word in misuse::verbs(arguments) {
        let Some(inner) = meant.find_subcommand(word).cloned() else { break };
        meant = inner;
    }
    meant.render_help().to_string()
}

fn print(text: &str) -> Result<(), CliError> {
    io::stdout().write_all(text.as_bytes()).map_err(CliError::Output)
}

fn run(face: Face, cli: Option<Cli>) -> Result<(), CliError> {
    let Some(cli) = cli else { return Ok(()) };
    log::start(cli.globals.level());
    if cli.version {
        return print(&version::line(face));
    }
    let Some(command) = cli.command else { return Ok(()) };
    let mut context = Context::build(face, &cli.globals, Environment::read())?;
    // One thread beside this one keeps the connections alive while a person is asked.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::failed(format!("cannot start: {error}")))?;
    let done = runtime.block_on(commands::run(&mut context, command));
    // What is still there is only connections, and threads whose work nobody wants any more.
    runtime.shutdown_background();
    done
}
