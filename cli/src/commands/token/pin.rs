//! `token pin change|unblock`.

use clap::{Args, Subcommand};
use signet_proto::v1;
use tonic::transport::Channel;

use crate::{
    agent::{
        answered,
        token::{self, LastTry, named},
        tokens_client,
    },
    context::Context,
    exit::CliError,
    prompt::{Code, Empty, PromptError},
    secret::Passphrase,
};

/// Arguments of `token pin`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct PinArgs {
    /// What to do.
    #[command(subcommand)]
    command: PinCommand,
}

#[derive(Debug, Subcommand)]
enum PinCommand {
    /// Replace the PIN by means of the old one
    #[command(after_help = "Without a terminal, PIN and new PIN are one line of standard input each.")]
    Change(CodeArgs),
    /// Replace a blocked or forgotten PIN by means of the PUK
    #[command(after_help = "Without a terminal, PUK and new PIN are one line of standard input each.")]
    Unblock(CodeArgs),
}

#[derive(Debug, Args)]
struct CodeArgs {
    /// Serial number of the YubiKey
    #[arg(value_name = "SERIAL")]
    token: String,
    /// Go on although a wrong answer would block it
    #[arg(long)]
    spend_last_try: bool,
}

/// Runs `token pin`.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: PinArgs) -> Result<(), CliError> {
    let channel = context.agent.link().await?.channel;
    match args.command {
        PinCommand::Change(args) => change(context, &channel, &args).await,
        PinCommand::Unblock(args) => unblock(context, &channel, &args).await,
    }
}

async fn change(context: &mut Context, channel: &Channel, args: &CodeArgs) -> Result<(), CliError> {
    let Answers { token, present, new_pin } = asked(context, channel, args, Code::Pin).await?;
    let request = v1::ChangePinRequest {
        token: token.name.clone(),
        pin: present.expose().to_vec(),
        new_pin: new_pin.expose().to_vec(),
        spend_last_try: args.spend_last_try,
    };
    answered(tokens_client(channel).change_pin(request)).await?;
    context.out.line(&format!("Changed the PIN of {}", named(&token)))
}

async fn unblock(context: &mut Context, channel: &Channel, args: &CodeArgs) -> Result<(), CliError> {
    let Answers { token, present, new_pin } = asked(context, channel, args, Code::Puk).await?;
    let request = v1::UnblockPinRequest {
        token: token.name.clone(),
        puk: present.expose().to_vec(),
        new_pin: new_pin.expose().to_vec(),
        spend_last_try: args.spend_last_try,
    };
    answered(tokens_client(channel).unblock_pin(request)).await?;
    context.out.line(&format!("{} has a new PIN, and all tries for it", named(&token)))
}

struct Answers {
    token: v1::Token,
    present: Passphrase,
    new_pin: Passphrase,
}

/// Asks for a present secret, and for a new PIN.
async fn asked(context: &Context, channel: &Channel, args: &CodeArgs, code: Code) -> Result<Answers, CliError> {
    let token = token::yubikey(channel, &args.token).await?;
    let last_try = if args.spend_last_try { LastTry::Spend } else { LastTry::Keep };
    let present = context.prompt.present_code(&token::question(&token, code, last_try)?)?;
    let new_pin = context.prompt.new_code(Code::Pin, &named(&token), Empty::NoAnswer)?.ok_or(PromptError::NoAnswer)?;
    Ok(Answers { token, present, new_pin })
}
