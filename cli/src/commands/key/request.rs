//! `key request`: what a certificate authority needs to certify a root key, which stays where it is.

use std::path::PathBuf;

use clap::Args;

use crate::{
    collection::init::{RootKey, root_key},
    commands::{
        init::chosen,
        names::gun,
        new_file::{failed, write_new},
    },
    context::Context,
    exit::CliError,
};

/// A request holds no secret.
const FOR_ALL: u32 = 0o644;

/// Arguments of `key request`.
#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// Collection that the certificate is to be for
    #[arg(value_name = "GUN")]
    gun: String,
    /// ID of the root key, or the beginning of it. Without it: the one that `init` would take
    #[arg(long, value_name = "KEYID")]
    root: Option<String>,
    /// Write the request to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `key request`.
///
/// # Errors
/// [`CliError`]
pub(super) async fn run(context: &mut Context, args: RequestArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let key = match &args.root {
        Some(id) => chosen(context, id).await?,
        None => root_key(context).await?,
    };
    let RootKey::Found(id) = key else {
        let remedy = "make one with `key generate root`, on a token with --token";
        return Err(CliError::with_remedy("there is no root key to ask a certificate for", remedy));
    };
    let request = context.agent.request_certificate(&id, &gun).await?;
    let Some(path) = &args.output else {
        tracing::info!("request for root key {id}");
        return context.out.line(request.trim_end());
    };
    write_new(path, request.as_bytes(), FOR_ALL).map_err(|error| failed(path, &error))?;
    context.out.line(&format!("Request for root key {id} written to {}", path.display()))
}
