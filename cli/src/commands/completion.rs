//! `completion`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::{args::Cli, context::Context, exit::CliError};

/// Prints the completion script of a shell: source <(signet completion bash)
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs `completion`.
///
/// # Errors
/// [`CliError::Output`]
pub fn run(context: &mut Context, args: &CompletionArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), context.face.name(), &mut script);
    context.out.bytes(&script)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_a_script() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            generate(*shell, &mut Cli::command(), "notary", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("notary") && script.contains("addhash"), "{shell}");
        }
    }
}
