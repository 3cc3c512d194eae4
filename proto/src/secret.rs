//! Messages that carry secrets show none of them.

use std::fmt;

use crate::v1::{
    ChangePassphraseRequest, ChangePinRequest, ImportKeyRequest, PivOptions, SetupTokenRequest, UnblockPinRequest,
    UnlockRequest, unlock_request::What,
};

macro_rules! hides {
    ($message:ty: $($shown:ident),+) => {
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))$(.field(stringify!($shown), &self.$shown))+.finish_non_exhaustive()
            }
        }
    };
}

hides!(ChangePassphraseRequest: key, trust_dir);
hides!(ChangePinRequest: token);
hides!(ImportKeyRequest: role, gun);
hides!(PivOptions: slot, pin_policy, touch_policy);
hides!(SetupTokenRequest: token);
hides!(UnblockPinRequest: token);
hides!(UnlockRequest: what, trust_dir, scope);

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(token) => write!(f, "token {token}"),
            Self::Key(key) => write!(f, "key {key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = || b"1234 is the PIN".to_vec();
        let texts = [
            format!("{:?}", UnlockRequest { secret: secret(), ..UnlockRequest::default() }),
            format!(
                "{:?}",
                ImportKeyRequest {
                    pem: secret(),
                    passphrase: secret(),
                    new_passphrase: secret(),
                    ..ImportKeyRequest::default()
                }
            ),
            format!(
                "{:?}",
                ChangePassphraseRequest {
                    old_passphrase: secret(),
                    new_passphrase: secret(),
                    ..ChangePassphraseRequest::default()
                }
            ),
            format!("{:?}", ChangePinRequest { pin: secret(), new_pin: secret(), ..ChangePinRequest::default() }),
            format!("{:?}", UnblockPinRequest { puk: secret(), new_pin: secret(), ..UnblockPinRequest::default() }),
            format!("{:?}", PivOptions { management_key: secret(), ..PivOptions::default() }),
            format!(
                "{:?}",
                SetupTokenRequest {
                    pin: secret(),
                    puk: secret(),
                    management_key: secret(),
                    new_pin: secret(),
                    new_puk: secret(),
                    ..SetupTokenRequest::default()
                }
            ),
        ];
        let as_numbers = format!("{:?}", secret());
        let as_numbers = as_numbers.trim_matches(['[', ']']);
        for text in texts {
            assert!(!text.contains("1234") && !text.contains(as_numbers), "{text}");
        }
    }
}
