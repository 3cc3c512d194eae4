//! `token reset`.

use clap::Args;
use signet_proto::v1;

use super::{introduced, key_named};
use crate::{
    agent::{
        answered,
        token::{self, named},
        tokens_client,
    },
    context::Context,
    exit::CliError,
    log::visible,
    prompt::Prompt,
};

/// Arguments of `token reset`.
#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    /// Serial number of the YubiKey
    #[arg(value_name = "SERIAL")]
    token: String,
    /// The serial number again, instead of typing it when asked
    #[arg(long, value_name = "SERIAL")]
    confirm: Option<String>,
}

/// Runs `token reset`.
///
/// # Errors
/// [`CliError`]; [`CliError::Aborted`] if the serial number was not typed.
pub(super) async fn run(context: &mut Context, args: &ResetArgs) -> Result<(), CliError> {
    let channel = context.agent.link().await?.channel;
    let token = token::yubikey(&channel, &args.token).await?;
    context.out.bytes(losses(&token).as_bytes())?;
    confirmed(&mut context.prompt, &token, args.confirm.as_deref())?;
    let request = v1::ResetTokenRequest { token: token.name.clone(), confirm: token.serial.clone() };
    answered(tokens_client(&channel).reset(request)).await?;
    context.out.line(&format!("{} was reset: its PIN, PUK and management key are the factory's", named(&token)))?;
    context.out.line(&format!("  signet token setup {}", token.serial))
}

/// What will be destroyed.
fn losses(token: &v1::Token) -> String {
    let slots = token.yubikey.iter().flat_map(|yubikey| &yubikey.slots);
    let keys: String = slots
        .map(|slot| format!("  slot {}  {}\n", visible(&slot.slot), key_named(&slot.role, &slot.gun, &slot.key_id)))
        .collect();
    let keys = if keys.is_empty() { "  none that Signet can use\n".to_owned() } else { keys };
    format!(
        "{}\nThese keys will be destroyed, and any other key and certificate of its PIV application:\n{keys}This cannot be undone.\n",
        introduced(token)
    )
}

fn confirmed(prompt: &mut Prompt, token: &v1::Token, confirm: Option<&str>) -> Result<(), CliError> {
    let serial = &token.serial;
    match confirm {
        Some(typed) if typed == serial => Ok(()),
        Some(typed) => {
            let message = format!("{typed} is not the serial number of {}; nothing was done", named(token));
            Err(CliError::with_remedy(message, format!("--confirm {serial}, if that is the one")))
        }
        None if prompt.has_person() => {
            let typed = prompt.line("Type the serial number to destroy them: ")?;
            if typed.trim() == serial { Ok(()) } else { Err(CliError::Aborted) }
        }
        None => {
            let message = format!("nobody is there to confirm that {} is to be reset; nothing was done", named(token));
            Err(CliError::with_remedy(message, format!("run it in a terminal, or with --confirm {serial}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{confirmed, losses};
    use crate::{commands::token::tests::yubikey, exit::CliError, prompt::Prompt, secret::EnvSecrets};

    #[test]
    fn what_will_be_destroyed_is_listed() {
        let expected = "\
YubiKey 4711, firmware 5.7.1, in Yubico YubiKey OTP+FIDO+CCID 00 00
These keys will be destroyed, and any other key and certificate of its PIV application:
  slot 9c  root key 3f2a1b7
This cannot be undone.
";
        assert_eq!(losses(&yubikey()), expected);
        let mut empty = yubikey();
        empty.yubikey.as_mut().unwrap().slots.clear();
        assert!(losses(&empty).contains("  none that Signet can use\n"));
    }

    #[test]
    fn nothing_is_destroyed_unless_the_serial_number_is_typed() {
        let typed = |text: &str| confirmed(&mut Prompt::scripted(EnvSecrets::default(), &[text]), &yubikey(), None);
        typed("4711\n").unwrap();
        for text in ["4712\n", "yes\n", "\n"] {
            assert!(matches!(typed(text), Err(CliError::Aborted)), "{text}");
        }
        let unattended = |confirm| confirmed(&mut Prompt::piped(&["4711"]), &yubikey(), confirm);
        unattended(Some("4711")).unwrap();
        for confirm in [None, Some("4712"), Some("")] {
            let error = unattended(confirm).unwrap_err();
            assert!(error.remedy().unwrap().contains("--confirm 4711"), "{confirm:?}");
        }
    }
}
