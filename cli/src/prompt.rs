//! Questions to the person at the terminal: passphrases, PINs, yes or no.
//!
//! Owns Notary's rules about passphrases: which environment variable serves which role, how often a person may try. A
//! passphrase from the environment never becomes a token's PIN: [`Prompt::pin`] only asks.

mod code;
mod login;

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, BufRead, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::SecretString;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::code::{Code, Empty, Misfit};
use crate::secret::{EnvSecrets, Passphrase, variable};

const ROOT_WARNING: &str = "\
You are about to create a new root signing key passphrase. This passphrase
will be used to protect the most sensitive key in your signing system. Please
choose a long, complex passphrase and be careful to keep the password and the
key file itself secure and backed up. It is highly recommended that you use a
password manager to generate the passphrase and keep it safe. There will be no
way to recover this key. You can find the key in your config directory.
";
const TOO_SHORT: &str =
    "Passphrase is too short. Please use a password manager to generate and store a good random passphrase.\n";
const MISMATCH: &str = "Passphrases do not match. Please retry.\n";
const INCORRECT: &str = "Passphrase incorrect. Please retry.\n";

/// Notary 0.7: bytes, after trimming, of a passphrase that a person gives to a new key.
const SHORTEST: usize = 8;
/// Notary 0.7: tries for a key that exists.
const TRIES: u32 = 4;
/// Notary 0.7: rounds until a new passphrase is long enough and repeated.
const ROUNDS: u32 = 11;
/// Notary 0.7: how much of a key ID a prompt shows.
const SHOWN_ID: usize = 7;

/// A person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `y` or `yes`, in any case.
    Yes,
    /// Everything else.
    No,
}

/// Why nobody answered.
#[derive(Debug, Error)]
pub enum PromptError {
    /// Reading or writing failed.
    #[error("cannot read the answer: {0}")]
    Io(#[from] io::Error),
    /// The input ended at a question: Ctrl-D, or nothing left to read.
    #[error("no answer: the input ended")]
    NoAnswer,
    /// A passphrase is wanted and there is nobody to ask.
    #[error("no passphrase for {key}: standard input is no terminal")]
    NoPassphrase {
        /// The key, for people.
        key: String,
        /// What could have said it.
        variable: Option<&'static str>,
    },
    /// A PIN is wanted and there is nobody to ask.
    #[error("no PIN for {token}: standard input is no terminal")]
    NoPin {
        /// The token, for people.
        token: String,
    },
    /// Every try was wrong. Notary's words.
    #[error("password invalid, operation has failed.")]
    Exhausted {
        /// The key, for people.
        key: String,
        /// What said the wrong one, if nobody was asked.
        variable: Option<&'static str>,
    },
    /// No acceptable new passphrase. Notary's words.
    #[error("maximum number of passphrase attempts exceeded")]
    TooManyAttempts,
    /// No acceptable new PIN or PUK.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

impl PromptError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NoPassphrase { variable: Some(name), .. } => Some(format!("run it in a terminal, or set {name}")),
            Self::NoPassphrase { variable: None, .. } => Some("run it in a terminal".to_owned()),
            Self::Exhausted { key, variable: Some(name) } => Some(format!("{name} is not the passphrase of {key}")),
            Self::Exhausted { key, variable: None } => Some(format!("the passphrase of {key} is another one")),
            Self::NoPin { .. } => {
                Some("run it in a terminal, or unlock the token first: signet agent unlock --pin-file FILE".to_owned())
            }
            Self::NoAnswer => Some("nothing was done; repeat it and answer".to_owned()),
            Self::Misfit(_) => Some("nothing was changed; choose another one and repeat".to_owned()),
            Self::Io(_) | Self::TooManyAttempts => None,
        }
    }
}

/// Asks. Clones share what was answered.
#[derive(Clone, Default)]
pub struct Prompt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    environment: EnvSecrets,
    /// Notary 0.7: what opened one key of a role is tried on the next.
    opened: BTreeMap<String, Passphrase>,
    person: Person,
}

#[derive(Default)]
enum Person {
    #[default]
    AtTerminal,
    #[cfg(test)]
    Scripted { answers: std::collections::VecDeque<String>, shown: String },
    #[cfg(test)]
    Piped { lines: std::collections::VecDeque<String> },
}

impl Prompt {
    /// Asks the person at the terminal what the environment does not say.
    #[must_use]
    pub fn new(environment: EnvSecrets) -> Self {
        Self(Arc::new(Mutex::new(State { environment, ..State::default() })))
    }

    /// A person who gives these answers; then there is none.
    #[cfg(test)]
    #[must_use]
    pub fn scripted(environment: EnvSecrets, answers: &[&str]) -> Self {
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let person = Person::Scripted { answers, shown: String::new() };
        Self(Arc::new(Mutex::new(State { environment, person, ..State::default() })))
    }

    /// Nobody at a terminal, and these lines on standard input.
    #[cfg(test)]
    #[must_use]
    pub fn piped(lines: &[&str]) -> Self {
        let person = Person::Piped { lines: lines.iter().map(|line| (*line).to_owned()).collect() };
        Self(Arc::new(Mutex::new(State { person, ..State::default() })))
    }

    /// What the scripted person saw.
    #[cfg(test)]
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.state().person {
            Person::Scripted { shown, .. } => shown.clone(),
            Person::AtTerminal | Person::Piped { .. } => String::new(),
        }
    }

    /// Writes `question` as it is and reads a line of standard input, which need not be a terminal.
    ///
    /// # Errors
    /// [`PromptError::Io`] if the terminal or standard input fails.
    pub fn confirm(&mut self, question: &str) -> Result<Answer, PromptError> {
        let line = self.state().person.line(question)?;
        // Notary 0.7 scans one word; a second one is an error, which means no.
        let answer = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [word] if ["y", "yes"].contains(&word.to_ascii_lowercase().as_str()) => Answer::Yes,
            _ => Answer::No,
        };
        Ok(answer)
    }

    /// The passphrases to try on an existing key, one after the other.
    #[must_use]
    pub fn candidates(&self, role: &str, key_id: &str) -> Candidates {
        Candidates { prompt: self.clone(), role: role.to_owned(), key_id: key_id.to_owned(), next: Stage::Environment }
    }

    /// The passphrase for keys of `role` that is known without a question.
    #[must_use]
    pub fn known(&self, role: &str) -> Option<Passphrase> {
        let state = self.state();
        state.environment.of_role(role).or_else(|| state.opened.get(role)).cloned()
    }

    /// Keeps what opened a key of `role`.
    pub fn remember(&self, role: &str, passphrase: &Passphrase) {
        self.state().opened.insert(role.to_owned(), passphrase.clone());
    }

    /// A passphrase for a new key: from the environment, the one of this role in this process, or a new one.
    ///
    /// # Errors
    /// [`PromptError`]
    pub fn new_passphrase(&self, role: &str, key_id: &str) -> Result<Passphrase, PromptError> {
        let mut state = self.state();
        if let Some(passphrase) = state.environment.of_role(role) {
            return Ok(passphrase.clone());
        }
        if !state.person.is_there() {
            let key = format!("the new {role} key{}", with_id(key_id));
            return Err(PromptError::NoPassphrase { key, variable: variable(role) });
        }
        if role == "root" {
            state.person.show(ROOT_WARNING)?;
        }
        if let Some(passphrase) = state.opened.get(role) {
            return Ok(passphrase.clone());
        }
        for _ in 0..ROUNDS {
            if let Some(passphrase) = state.person.new_passphrase(role, key_id)? {
                state.opened.insert(role.to_owned(), passphrase.clone());
                return Ok(passphrase);
            }
        }
        Err(PromptError::TooManyAttempts)
    }

    /// Another passphrase for a key that has one: always asked, or nothing would change.
    ///
    /// # Errors
    /// [`PromptError::NoPassphrase`] if nobody can be asked, [`PromptError::TooManyAttempts`].
    pub fn another_passphrase(&self, role: &str, key_id: &str) -> Result<Passphrase, PromptError> {
        let mut state = self.state();
        for _ in 0..ROUNDS {
            if !state.person.is_there() {
                let key = format!("the new passphrase of the {role} key{}", with_id(key_id));
                return Err(PromptError::NoPassphrase { key, variable: None });
            }
            if let Some(passphrase) = state.person.new_passphrase(role, key_id)? {
                return Ok(passphrase);
            }
        }
        Err(PromptError::TooManyAttempts)
    }

    /// A line that a person types, such as the number of a choice.
    ///
    /// # Errors
    /// [`PromptError::Io`] if the terminal or standard input fails.
    pub fn line(&mut self, question: &str) -> Result<String, PromptError> {
        self.state().person.line(question)
    }

    /// A token's PIN, to unlock it. `token` names it for people.
    ///
    /// # Errors
    /// [`PromptError::NoPin`] if nobody can be asked.
    pub fn pin(&self, token: &str, question: &str) -> Result<Passphrase, PromptError> {
        let mut state = self.state();
        if !state.person.is_there() {
            return Err(PromptError::NoPin { token: token.to_owned() });
        }
        state.person.secret(question)
    }

    /// Says something to the person, where questions are asked.
    ///
    /// # Errors
    /// [`PromptError::Io`]
    pub fn say(&self, text: &str) -> Result<(), PromptError> {
        self.state().person.show(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The passphrases to try on one key. The environment's is the only one if there is one; else what opened another key of
/// the role, without a word, and then what a person types.
pub struct Candidates {
    prompt: Prompt,
    role: String,
    key_id: String,
    next: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Environment,
    Opened,
    Person { tried: u32 },
    Over,
}

impl Candidates {
    /// The next one, because the ones before were wrong.
    ///
    /// # Errors
    /// [`PromptError::Exhausted`] after the last, [`PromptError::NoPassphrase`] if nobody can be asked.
    pub fn another(&mut self) -> Result<Passphrase, PromptError> {
        let mut state = self.prompt.state();
        loop {
            match self.next {
                Stage::Environment => {
                    // Notary 0.7 tries it twice; the second time cannot end otherwise.
                    let from_environment = state.environment.of_role(&self.role).cloned();
                    self.next = if from_environment.is_some() { Stage::Over } else { Stage::Opened };
                    if let Some(passphrase) = from_environment {
                        return Ok(passphrase);
                    }
                }
                Stage::Opened => {
                    self.next = Stage::Person { tried: 0 };
                    if let Some(passphrase) = state.opened.get(&self.role) {
                        return Ok(passphrase.clone());
                    }
                }
                Stage::Over => return Err(PromptError::Exhausted { key: self.key(), variable: variable(&self.role) }),
                Stage::Person { tried: TRIES.. } => {
                    return Err(PromptError::Exhausted { key: self.key(), variable: None });
                }
                Stage::Person { .. } if !state.person.is_there() => {
                    return Err(PromptError::NoPassphrase { key: self.key(), variable: variable(&self.role) });
                }
                Stage::Person { tried } => {
                    self.next = Stage::Person { tried: tried.saturating_add(1) };
                    if tried > 0 {
                        state.person.show(INCORRECT)?;
                    }
                    let question = format!("Enter passphrase for {} key{}: ", self.role, with_id(&self.key_id));
                    return Ok(state.person.secret(&question)?.trimmed());
                }
            }
        }
    }

    fn key(&self) -> String {
        format!("the {} key{}", self.role, with_id(&self.key_id))
    }
}

/// Notary 0.7: nothing for a name that is too short to be cut.
fn with_id(key_id: &str) -> String {
    match key_id.get(..SHOWN_ID) {
        Some(short) if key_id.len() > SHOWN_ID => format!(" with ID {short}"),
        _ => String::new(),
    }
}

impl Person {
    /// Notary 0.7: someone sits there if standard input is a terminal.
    fn is_there(&self) -> bool {
        match self {
            Self::AtTerminal => io::stdin().is_terminal(),
            #[cfg(test)]
            Self::Scripted { answers, .. } => !answers.is_empty(),
            #[cfg(test)]
            Self::Piped { .. } => false,
        }
    }

    /// Shows text on the terminal even if standard output goes elsewhere.
    fn show(&mut self, text: &str) -> Result<(), PromptError> {
        match self {
            Self::AtTerminal => match OpenOptions::new().write(true).open("/dev/tty") {
                Ok(mut terminal) => terminal.write_all(text.as_bytes())?,
                Err(_) => {
                    let mut stdout = io::stdout();
                    stdout.write_all(text.as_bytes())?;
                    stdout.flush()?;
                }
            },
            #[cfg(test)]
            Self::Scripted { shown, .. } => shown.push_str(text),
            #[cfg(test)]
            Self::Piped { .. } => {}
        }
        Ok(())
    }

    fn line(&mut self, question: &str) -> Result<String, PromptError> {
        match self {
            Self::AtTerminal => {
                let mut stdout = io::stdout();
                stdout.write_all(question.as_bytes())?;
                stdout.flush()?;
                let mut line = String::new();
                io::stdin().lock().read_line(&mut line)?;
                Ok(line)
            }
            #[cfg(test)]
            Self::Scripted { answers, shown } => {
                shown.push_str(question);
                Ok(answers.pop_front().unwrap_or_default())
            }
            #[cfg(test)]
            Self::Piped { lines } => Ok(lines.pop_front().unwrap_or_default()),
        }
    }

    /// Reads a line with echo off.
    fn secret(&mut self, question: &str) -> Result<Passphrase, PromptError> {
        self.show(question)?;
        match self {
            Self::AtTerminal => {
                let typed = match rpassword::read_password_with_config(terminal()) {
                    Ok(typed) => Zeroizing::new(typed),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(PromptError::NoAnswer),
                    Err(error) => return Err(error.into()),
                };
                Ok(Passphrase::from(SecretString::from(typed.as_str())))
            }
            #[cfg(test)]
            Self::Scripted { answers, shown } => {
                shown.push('\n');
                Ok(Passphrase::from(SecretString::from(answers.pop_front().unwrap_or_default())))
            }
            #[cfg(test)]
            Self::Piped { .. } => Err(PromptError::NoAnswer),
        }
    }

    /// One round: nothing if it is too short or not repeated.
    fn new_passphrase(&mut self, role: &str, key_id: &str) -> Result<Option<Passphrase>, PromptError> {
        let key = format!("new {role} key{}", with_id(key_id));
        let passphrase = self.secret(&format!("Enter passphrase for {key}: "))?.trimmed();
        if passphrase.expose().len() < SHORTEST {
            self.show(TOO_SHORT)?;
            return Ok(None);
        }
        let repeated = self.secret(&format!("Repeat passphrase for {key}: "))?.trimmed();
        if !passphrase.same_as(&repeated) {
            self.show(MISMATCH)?;
            return Ok(None);
        }
        Ok(Some(passphrase))
    }
}

/// The controlling terminal; standard input where a process has none but was given a terminal.
fn terminal() -> rpassword::Config {
    let config = rpassword::ConfigBuilder::new();
    match OpenOptions::new().read(true).write(true).open("/dev/tty") {
        Ok(_) => config.build(),
        Err(_) => config.input_file_path("/dev/stdin").output_file_path("/dev/stdin").build(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{Answer, Prompt, PromptError};
    use crate::secret::{EnvSecrets, Passphrase};

    const ID: &str = "0123456789abcdef";

    fn secret(text: &str) -> Option<Passphrase> {
        Some(Passphrase::from(SecretString::from(text)))
    }

    fn text(passphrase: &Passphrase) -> &str {
        std::str::from_utf8(passphrase.expose()).unwrap()
    }

    #[test]
    fn a_wrong_variable_is_not_followed_by_a_question() {
        let environment = EnvSecrets { root: secret("wrong"), ..EnvSecrets::default() };
        let prompt = Prompt::scripted(environment, &["right"]);
        let mut candidates = prompt.candidates("root", ID);
        assert_eq!(text(&candidates.another().unwrap()), "wrong");
        let error = candidates.another().unwrap_err();
        assert_eq!(error.to_string(), "password invalid, operation has failed.");
        let remedy = "NOTARY_ROOT_PASSPHRASE is not the passphrase of the root key with ID 0123456";
        assert_eq!(error.remedy().as_deref(), Some(remedy));
        assert_eq!(prompt.shown(), "");
    }

    #[test]
    fn an_existing_key_gets_four_tries() {
        let prompt = Prompt::scripted(EnvSecrets::default(), &["a", " b ", "c", "d", "e"]);
        let mut candidates = prompt.candidates("targets", ID);
        let tried: Vec<String> = (0..4).map(|_| text(&candidates.another().unwrap()).to_owned()).collect();
        assert_eq!(tried, ["a", "b", "c", "d"]);
        assert!(matches!(candidates.another(), Err(PromptError::Exhausted { .. })));
        let question = "Enter passphrase for targets key with ID 0123456: \n";
        let again = format!("Passphrase incorrect. Please retry.\n{question}");
        assert_eq!(prompt.shown(), format!("{question}{again}{again}{again}"));
    }

    #[test]
    fn what_opened_a_key_is_tried_on_the_next_of_its_role_without_a_word() {
        let prompt = Prompt::scripted(EnvSecrets::default(), &["typed"]);
        prompt.remember("root", &secret("first").unwrap());
        let mut candidates = prompt.candidates("root", ID);
        assert_eq!(text(&candidates.another().unwrap()), "first");
        assert_eq!(text(&candidates.another().unwrap()), "typed");
        assert_eq!(prompt.shown(), "Enter passphrase for root key with ID 0123456: \n");
        let other = Prompt::scripted(EnvSecrets::default(), &["typed"]);
        assert_eq!(text(&other.candidates("targets", ID).another().unwrap()), "typed");
    }

    #[test]
    fn a_new_passphrase_is_long_enough_and_repeated() {
        let answers = ["short", "long enough", "long enougg", " long enough", "long enough "];
        let prompt = Prompt::scripted(EnvSecrets::default(), &answers);
        assert_eq!(text(&prompt.new_passphrase("targets", ID).unwrap()), "long enough");
        let enter = "Enter passphrase for new targets key with ID 0123456: \n";
        let repeat = "Repeat passphrase for new targets key with ID 0123456: \n";
        let expected = [enter, super::TOO_SHORT, enter, repeat, super::MISMATCH, enter, repeat].concat();
        assert_eq!(prompt.shown(), expected);
    }

    #[test]
    fn a_new_passphrase_serves_the_next_key_of_its_role() {
        let prompt = Prompt::scripted(EnvSecrets::default(), &["long enough", "long enough", "unused"]);
        prompt.new_passphrase("targets", ID).unwrap();
        assert_eq!(text(&prompt.new_passphrase("targets", "another key id").unwrap()), "long enough");
        assert_eq!(text(&prompt.candidates("targets", ID).another().unwrap()), "long enough");
    }

    #[test]
    fn a_new_root_passphrase_comes_with_a_warning() {
        let prompt = Prompt::scripted(EnvSecrets::default(), &["long enough", "long enough"]);
        prompt.new_passphrase("root", ID).unwrap();
        assert!(prompt.shown().starts_with("You are about to create a new root signing key passphrase."));
    }

    #[test]
    fn the_eleventh_bad_passphrase_is_the_last() {
        let prompt = Prompt::scripted(EnvSecrets::default(), &["short"; 12]);
        assert!(matches!(prompt.new_passphrase("targets", ID), Err(PromptError::TooManyAttempts)));
        assert_eq!(prompt.shown().matches("too short").count(), 11);
    }

    #[test]
    fn a_variable_may_be_short() {
        let environment = EnvSecrets { delegation: secret("x"), ..EnvSecrets::default() };
        let prompt = Prompt::scripted(environment, &[]);
        assert_eq!(text(&prompt.new_passphrase("targets/a", ID).unwrap()), "x");
    }

    #[test]
    fn a_variable_never_becomes_a_pin() {
        let all =
            EnvSecrets { root: secret("1"), targets: secret("2"), snapshot: secret("3"), delegation: secret("4") };
        let prompt = Prompt::scripted(all, &[]);
        let error = prompt.pin("token release", "").unwrap_err();
        assert_eq!(error.to_string(), "no PIN for token release: standard input is no terminal");
    }

    #[test]
    fn nobody_to_ask_names_the_variable() {
        let prompt = Prompt::scripted(EnvSecrets::default(), &[]);
        for (role, variable) in [("root", "NOTARY_ROOT_PASSPHRASE"), ("targets/a", "NOTARY_DELEGATION_PASSPHRASE")] {
            let error = prompt.candidates(role, ID).another().unwrap_err();
            assert!(error.to_string().contains("with ID 0123456"), "{error}");
            assert!(error.remedy().unwrap().contains(variable), "{error}");
        }
    }

    #[test]
    fn nobody_to_ask_for_a_new_key_names_the_variable() {
        let error = Prompt::scripted(EnvSecrets::default(), &[]).new_passphrase("root", ID).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no passphrase for the new root key with ID 0123456: standard input is no terminal"
        );
        assert!(error.remedy().unwrap().contains("NOTARY_ROOT_PASSPHRASE"));
    }

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in [
            ("y\n", Answer::Yes),
            ("YES\n", Answer::Yes),
            (" yes ", Answer::Yes),
            ("", Answer::No),
            ("no\n", Answer::No),
            ("yes please\n", Answer::No),
        ] {
            let mut prompt = Prompt::scripted(EnvSecrets::default(), &[answer]);
            assert_eq!(prompt.confirm("sure? ").unwrap(), expected, "{answer:?}");
        }
    }
}
