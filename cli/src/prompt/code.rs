//! PIN and PUK of a YubiKey: the present ones, and new ones.

use std::io::{self, BufRead};

use secrecy::SecretString;
use signet_proto::Reason;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Person, Prompt, PromptError, ROUNDS};
use crate::secret::Passphrase;

/// Bytes of a PIN or PUK: SP 800-73-4 pt 2 §2.4.3.
const LENGTH: std::ops::RangeInclusive<usize> = 6..=8;

/// What a person proves who they are with to a YubiKey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Wanted for signatures.
    Pin,
    /// Makes a new PIN.
    Puk,
}

impl Code {
    /// The name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pin => "PIN",
            Self::Puk => "PUK",
        }
    }

    /// The name in a refusal's data.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Puk => "puk",
        }
    }

    /// The reason of a refusal when no try is left.
    #[must_use]
    pub const fn blocked(self) -> Reason {
        match self {
            Self::Pin => Reason::PinBlocked,
            Self::Puk => Reason::PukBlocked,
        }
    }

    /// What a YubiKey leaves the factory with. Yubico's manual of PIV, "Default Values".
    const fn factory(self) -> &'static [u8] {
        match self {
            Self::Pin => b"123456",
            Self::Puk => b"12345678",
        }
    }

    /// Whether this will do as a new one.
    fn judge(self, new: &Passphrase) -> Result<(), Misfit> {
        let new = new.expose();
        if !LENGTH.contains(&new.len()) || !new.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Err(Misfit::Form(self));
        }
        if new == self.factory() {
            return Err(Misfit::Factory(self));
        }
        Ok(())
    }
}

/// Why a new PIN or PUK will not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Misfit {
    /// Too short, too long, or with characters that another keyboard may not have.
    #[error("a new {} must have 6 to 8 characters, letters of ASCII, digits or signs", .0.name())]
    Form(Code),
    /// Everybody knows it.
    #[error("this {} is the factory's", .0.name())]
    Factory(Code),
    /// It was not typed in the same way again.
    #[error("the new {} was not repeated", .0.name())]
    NotRepeated(Code),
}

/// What an empty answer to the question for a new one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// Nothing: one is wanted.
    NoAnswer,
    /// The present one stays.
    Keep,
}

impl Prompt {
    /// A present PIN or PUK. Where nobody sits at a terminal, the next line of standard input.
    ///
    /// # Errors
    /// [`PromptError::NoAnswer`] if the input has ended.
    pub fn present_code(&self, question: &str) -> Result<Passphrase, PromptError> {
        let mut state = self.state();
        if state.person.is_there() { state.person.secret(question) } else { state.person.next_line() }
    }

    /// A new PIN or PUK for `token`, typed twice. Where nobody sits at a terminal, the next line of standard input, once.
    /// None if the present one stays.
    ///
    /// # Errors
    /// [`PromptError::Misfit`] if it will not do, at a terminal after several rounds.
    pub fn new_code(&self, code: Code, token: &str, empty: Empty) -> Result<Option<Passphrase>, PromptError> {
        let mut state = self.state();
        let keeps = |new: &Passphrase| empty == Empty::Keep && new.expose().is_empty();
        if !state.person.is_there() {
            let new = state.person.next_line()?;
            return if keeps(&new) { Ok(None) } else { Ok(code.judge(&new).map(|()| Some(new))?) };
        }
        let name = code.name();
        let or_keep = match empty {
            Empty::NoAnswer => "",
            Empty::Keep => ", or nothing to keep the present one",
        };
        let mut misfit = Misfit::Form(code);
        for _ in 0..ROUNDS {
            let new = state.person.secret(&format!("New {name} for {token} (6 to 8 characters{or_keep}): "))?;
            if keeps(&new) {
                return Ok(None);
            }
            misfit = match code.judge(&new) {
                Err(misfit) => misfit,
                Ok(()) if new.same_as(&state.person.secret(&format!("Repeat the new {name} for {token}: "))?) => {
                    return Ok(Some(new));
                }
                Ok(()) => Misfit::NotRepeated(code),
            };
            state.person.show(&format!("{}. Please retry.\n", capitalised(misfit)))?;
        }
        Err(misfit.into())
    }

    /// Whether somebody sits at the terminal.
    #[must_use]
    pub fn has_person(&self) -> bool {
        self.state().person.is_there()
    }
}

fn capitalised(misfit: Misfit) -> String {
    let text = misfit.to_string();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl Person {
    /// A secret from standard input, without its end of line.
    fn next_line(&mut self) -> Result<Passphrase, PromptError> {
        let mut line = Zeroizing::new(String::new());
        let length = match self {
            Self::AtTerminal => io::stdin().lock().read_line(&mut line)?,
            #[cfg(test)]
            Self::Scripted { .. } => 0,
            #[cfg(test)]
            Self::Piped { lines } => lines.pop_front().map_or(0, |next| {
                line.push_str(&format!("{next}\n"));
                line.len()
            }),
        };
        if length == 0 {
            return Err(PromptError::NoAnswer);
        }
        Ok(Passphrase::from(SecretString::from(line.trim_end_matches(['\r', '\n']))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Empty, Misfit};
    use crate::{
        prompt::{Prompt, PromptError},
        secret::{EnvSecrets, Passphrase},
    };

    fn text(passphrase: &Passphrase) -> &str {
        std::str::from_utf8(passphrase.expose()).unwrap()
    }

    #[test]
    fn a_new_code_has_six_to_eight_characters_and_is_not_the_factorys() {
        for (code, new, expected) in [
            (Code::Pin, "12345", Err(Misfit::Form(Code::Pin))),
            (Code::Pin, "654321", Ok(())),
            (Code::Pin, "a b!C$12", Ok(())),
            (Code::Pin, "987654321", Err(Misfit::Form(Code::Pin))),
            (Code::Pin, "größe1", Err(Misfit::Form(Code::Pin))),
            (Code::Pin, "123456", Err(Misfit::Factory(Code::Pin))),
            (Code::Pin, "12345678", Ok(())),
            (Code::Puk, "12345678", Err(Misfit::Factory(Code::Puk))),
            (Code::Puk, "", Err(Misfit::Form(Code::Puk))),
        ] {
            assert_eq!(code.judge(&Passphrase::from(secrecy::SecretString::from(new))), expected, "{code:?} {new}");
        }
    }

    #[test]
    fn a_new_code_is_typed_twice_until_it_will_do() {
        let prompt =
            Prompt::scripted(EnvSecrets::default(), &["123456", "short", "24681012", "other", "246810", "246810"]);
        assert!(matches!(
            Prompt::scripted(EnvSecrets::default(), &["1"; 12]).new_code(Code::Pin, "YubiKey 4711", Empty::NoAnswer),
            Err(PromptError::Misfit(Misfit::Form(Code::Pin)))
        ));
        let new = prompt.new_code(Code::Pin, "YubiKey 4711", Empty::NoAnswer).unwrap().unwrap();
        assert_eq!(text(&new), "246810");
        let ask = "New PIN for YubiKey 4711 (6 to 8 characters): \n";
        let repeat = "Repeat the new PIN for YubiKey 4711: \n";
        let expected = [
            ask,
            "This PIN is the factory's. Please retry.\n",
            ask,
            "A new PIN must have 6 to 8 characters, letters of ASCII, digits or signs. Please retry.\n",
            ask,
            repeat,
            "The new PIN was not repeated. Please retry.\n",
            ask,
            repeat,
        ];
        assert_eq!(prompt.shown(), expected.concat());
    }

    #[test]
    fn an_empty_answer_keeps_the_present_code_where_it_may() {
        let prompt = Prompt::scripted(EnvSecrets::default(), &["", "x"]);
        assert!(prompt.new_code(Code::Puk, "YubiKey 4711", Empty::Keep).unwrap().is_none());
        assert!(prompt.shown().contains("or nothing to keep the present one"));
        assert!(Prompt::piped(&[""]).new_code(Code::Puk, "YubiKey 4711", Empty::Keep).unwrap().is_none());
        let error = Prompt::piped(&[""]).new_code(Code::Pin, "YubiKey 4711", Empty::NoAnswer).unwrap_err();
        assert!(matches!(error, PromptError::Misfit(Misfit::Form(Code::Pin))), "{error}");
    }

    #[test]
    fn without_a_terminal_each_code_is_one_line() {
        let prompt = Prompt::piped(&["111111", "246810", "123456"]);
        assert_eq!(text(&prompt.present_code("PIN: ").unwrap()), "111111");
        assert_eq!(text(&prompt.new_code(Code::Pin, "t", Empty::NoAnswer).unwrap().unwrap()), "246810");
        let error = prompt.new_code(Code::Pin, "t", Empty::NoAnswer).unwrap_err();
        assert!(matches!(error, PromptError::Misfit(Misfit::Factory(Code::Pin))), "{error}");
        assert!(matches!(prompt.present_code("PIN: "), Err(PromptError::NoAnswer)));
    }
}
