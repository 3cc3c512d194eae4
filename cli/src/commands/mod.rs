//! One file for each command: its arguments and its story.
//!
//! Each has `pub struct <Name>Args` (derives `clap::Args`) and `pub async fn run(context: &mut Context, args: <Name>Args) -> Result<(), CliError>`.

pub mod add;
pub mod init;
pub mod list;
pub mod lookup;
pub mod publish;
pub mod remove;
pub mod status;
pub mod verify;
