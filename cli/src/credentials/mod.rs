//! Who we are to a server, and who says so: `NOTARY_AUTH`, what `docker login` keeps, and last the person at the terminal.
//!
//! Owns the order in which they are asked. Never sends anything: [`crate::server`] decides who may see a secret.

mod docker;
mod helper;
mod variable;

use std::{collections::BTreeMap, fmt, sync::Arc};

use reqwest::Url;
use signet_tuf::Gun;
use tokio::sync::Mutex;

use crate::{
    environment::Environment,
    prompt::{Prompt, PromptError},
    secret::Passphrase,
};

/// What shows who we are.
#[derive(Debug, Clone)]
pub enum Secret {
    /// A user's password.
    Password {
        /// The user name.
        user: String,
        /// The password.
        password: Passphrase,
    },
    /// What `docker login` got instead of a password: a refresh token.
    IdentityToken(Passphrase),
}

/// A secret, and where it was found.
#[derive(Debug, Clone)]
pub struct Credential {
    /// What shows who we are.
    pub secret: Secret,
    /// Where it was found, for people.
    pub source: String,
}

/// As whom something was asked, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// As nobody.
    Nobody,
    /// As a user.
    User {
        /// The user name.
        name: String,
        /// Where it was found.
        source: String,
    },
    /// As whomever an identity token belongs to.
    Bearer {
        /// Where it was found.
        source: String,
    },
}

/// Whether a server has proved that it is the one whose name it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// By a certificate that is checked.
    Certificate,
    /// By nothing: plain http, or `skipTLSVerify`.
    Nothing,
}

/// For what a credential is wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purpose {
    /// The server.
    pub base: Url,
    /// Whether it is really that server.
    pub proof: Proof,
    /// Host and port, as people name the server.
    pub server: String,
    /// The token server that reads the secret in the server's place, for people.
    pub reader: Option<String>,
    /// The collection.
    pub gun: Gun,
}

/// The credentials that a command can find. Clones share what was found.
#[derive(Clone, Default)]
pub struct Credentials(Option<Arc<Sources>>);

struct Sources {
    environment: Arc<Environment>,
    prompt: Prompt,
    /// Nobody is asked twice.
    found: Mutex<BTreeMap<Purpose, Option<Credential>>>,
}

impl Credential {
    /// As whom it speaks.
    #[must_use]
    pub fn who(&self) -> Who {
        let source = self.source.clone();
        match &self.secret {
            Secret::Password { user, .. } => Who::User { name: user.clone(), source },
            Secret::IdentityToken(_) => Who::Bearer { source },
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("somebody without a user name"),
            Self::User { name, source } => write!(f, "{name} ({source})"),
            Self::Bearer { source } => write!(f, "the holder of an identity token ({source})"),
        }
    }
}

impl Credentials {
    /// What this environment and the person at the terminal know.
    #[must_use]
    pub fn new(environment: Arc<Environment>, prompt: Prompt) -> Self {
        Self(Some(Arc::new(Sources { environment, prompt, found: Mutex::default() })))
    }

    /// The credential for a server; none if nobody knows one. What is wrong with a source is said, and the next one asked.
    ///
    /// # Errors
    /// [`PromptError`] if the terminal fails.
    pub async fn find(&self, purpose: &Purpose) -> Result<Option<Credential>, PromptError> {
        let Some(sources) = &self.0 else { return Ok(None) };
        let mut found = sources.found.lock().await;
        if let Some(known) = found.get(purpose) {
            return Ok(known.clone());
        }
        let credential = sources.find(purpose).await?;
        match &credential {
            Some(credential) => tracing::info!("to {} we are {}", purpose.server, credential.who()),
            None => tracing::info!("nothing says who we are to {}", purpose.server),
        }
        found.insert(purpose.clone(), credential.clone());
        Ok(credential)
    }

    /// Whether [`Self::find`] has something, or somebody to ask. Asks no person.
    pub async fn could_find(&self, purpose: &Purpose) -> bool {
        let Some(sources) = &self.0 else { return false };
        match sources.at_hand(purpose).await {
            AtHand::Said(credential) => credential.is_some(),
            AtHand::Nothing => sources.prompt.has_person(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[credentials]")
    }
}

/// What is known without asking a person.
enum AtHand {
    /// Who we are, or that we are nobody.
    Said(Option<Credential>),
    Nothing,
}

impl Sources {
    async fn find(&self, purpose: &Purpose) -> Result<Option<Credential>, PromptError> {
        match self.at_hand(purpose).await {
            AtHand::Said(credential) => Ok(credential),
            AtHand::Nothing => self.ask(purpose),
        }
    }

    async fn at_hand(&self, purpose: &Purpose) -> AtHand {
        // Notary 0.7: a variable that is wrong does not make it ask
        if let Some(text) = self.environment.secret(variable::NAME) {
            tracing::info!("{} says who we are", variable::NAME);
            return AtHand::Said(variable::read(&text));
        }
        match docker::find(&self.environment, purpose).await {
            Some(credential) => AtHand::Said(Some(credential)),
            None => AtHand::Nothing,
        }
    }

    fn ask(&self, purpose: &Purpose) -> Result<Option<Credential>, PromptError> {
        if self.prompt.has_person() {
            // before anything is typed: to whom it goes
            let server = &purpose.server;
            match &purpose.reader {
                Some(reader) => tracing::warn!("{server} asks who you are; your answer goes to {reader}"),
                None => tracing::warn!("{server} asks who you are"),
            }
        }
        let Some((user, password)) = self.prompt.login()? else { return Ok(None) };
        Ok(Some(Credential { secret: Secret::Password { user, password }, source: "typed".to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose() -> Purpose {
        Purpose {
            base: Url::parse("https://h:1").unwrap(),
            proof: Proof::Certificate,
            server: "h:1".into(),
            reader: None,
            gun: "example.com/app".parse().unwrap(),
        }
    }

    fn found(variables: &[(&str, &str)], prompt: &Prompt) -> Option<Credential> {
        let credentials = Credentials::new(Arc::new(Environment::of("/", variables)), prompt.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let first = runtime.block_on(credentials.find(&purpose())).unwrap();
        let again = runtime.block_on(credentials.find(&purpose())).unwrap();
        assert_eq!(first.as_ref().map(Credential::who), again.as_ref().map(Credential::who));
        first
    }

    fn asked(answers: &[&str]) -> Prompt {
        Prompt::scripted(crate::secret::EnvSecrets::default(), answers)
    }

    #[test]
    fn the_variable_comes_before_the_person() {
        let prompt = asked(&["bob", "typed password"]);
        let credential = found(&[("NOTARY_AUTH", "YWxpY2U6c2VjcmV0")], &prompt).unwrap();
        assert_eq!(credential.who(), Who::User { name: "alice".into(), source: "NOTARY_AUTH".into() });
        assert_eq!(prompt.shown(), "");
    }

    #[test]
    fn a_wrong_variable_means_nobody() {
        let prompt = asked(&["bob", "typed password"]);
        assert!(found(&[("NOTARY_AUTH", "%%%")], &prompt).is_none());
        assert_eq!(prompt.shown(), "");
    }

    #[test]
    fn a_person_is_asked_once_and_in_notarys_words() {
        let prompt = asked(&["bob\n", "typed password"]);
        let credential = found(&[], &prompt).unwrap();
        assert_eq!(credential.who(), Who::User { name: "bob".into(), source: "typed".into() });
        assert_eq!(prompt.shown(), "Enter username: Enter password: \n");
        assert!(!format!("{credential:?}").contains("typed password"));
    }

    #[test]
    fn who_types_no_name_is_nobody() {
        assert!(found(&[], &asked(&["\n"])).is_none());
        assert!(found(&[], &Prompt::piped(&["bob", "x"])).is_none());
    }
}
