//! The client of signet-agent: connects at first use, starts an agent if none answers, unlocks what is locked.
//!
//! Holds no key and decides nothing about metadata; what the agent says is passed on as it is.

mod drill;
pub mod error;
mod holder;
mod keys;
mod piv;
pub mod skew;
pub mod socket;
pub mod start;
mod take;
pub mod token;
pub mod touch;
pub mod unlock;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use signet_proto::v1::{
    self, agent_client::AgentClient, audit_client::AuditClient, keys_client::KeysClient, signing_client::SigningClient,
    tokens_client::TokensClient,
};
use signet_tuf::Gun;
use tonic::{Response, Status, transport::Channel};

pub use self::{
    drill::{Drill, refusal},
    error::AgentError,
    keys::Place,
    piv::{PivOptions, PivPlace, attestation},
    take::{Incoming, Opened, Sealed},
};
use self::{
    skew::Heard,
    socket::{Demand, Found, Link},
    start::Launch,
    touch::Watch,
    unlock::Locked,
};
use crate::{environment::Environment, log::visible, prompt::Prompt};

/// An agent may wait for a person who touches a token, but not forever.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// Metadata can be tens of megabytes; the agent's own limit is configured there and said in its refusal.
const MAX_MESSAGE_BYTES: usize = 512 << 20;
/// An agent that was started on the way ends by itself after so long without a request.
pub const IDLE_SECONDS: u64 = 900;
/// How often, and after which pauses, an agent that another process starts is tried: ten seconds.
const RACE_TRIES: u32 = 200;
const RACE_PAUSE: Duration = Duration::from_millis(50);
/// How long an agent that ends may still take connections and answer none.
const ENDING: Duration = Duration::from_secs(2);

/// Which agent is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The one that a person named; it is never started.
    Named(PathBuf),
    /// This user's own.
    Own,
}

/// What to do if no agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IfAbsent {
    Start,
    Fail,
}

/// The signing agent, as commands see it.
pub struct Client {
    address: Address,
    trust_dir: PathBuf,
    prompt: Prompt,
    environment: Arc<Environment>,
    link: Option<Link>,
    /// The keys, as they were listed last.
    listed: Vec<v1::Key>,
}

impl Client {
    /// A client that connects at first use.
    #[must_use]
    pub const fn new(address: Address, trust_dir: PathBuf, prompt: Prompt, environment: Arc<Environment>) -> Self {
        Self { address, trust_dir, prompt, environment, link: None, listed: Vec::new() }
    }

    /// A client that finds no agent.
    #[cfg(test)]
    #[must_use]
    pub fn nowhere() -> Self {
        let address = Address::Named(PathBuf::from("/nonexistent/agent.sock"));
        Self::new(address, PathBuf::from("/nonexistent"), Prompt::default(), Arc::default())
    }

    /// Signs; on `KEY_LOCKED` asks for the passphrase or PIN, unlocks for this connection and repeats. Sets `trust_dir`
    /// itself, and says the reply's notices on stderr. `ids` (canonical) are the keys that may sign: who has to touch a
    /// YubiKey for that is told.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn sign(&mut self, mut request: v1::SignRequest, ids: &[String]) -> Result<v1::SignResponse, AgentError> {
        request.trust_dir = self.trust_dir()?;
        let touched = self.touchable(ids);
        let signed = async |channel: &_| answered(signing_client(channel).sign(request.clone())).await;
        let response = self.unlocking(touched, signed).await?;
        warn_of(&response.notices);
        Ok(response)
    }

    /// Every key of the tokens and of the trust directory; warnings go to stderr.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn keys(&mut self) -> Result<Vec<v1::Key>, AgentError> {
        let request = v1::ListKeysRequest { trust_dir: self.trust_dir()? };
        let listed = answered(keys_client(&self.channel().await?).list(request)).await?;
        warn_of(&listed.warnings);
        self.listed.clone_from(&listed.keys);
        Ok(listed.keys)
    }

    /// Unlocks the first of these keys (canonical IDs) that is locked, unless one of them is ready. Goes by the last listing: what
    /// is still locked when it is to sign is asked for then.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn unlock_one_of(&mut self, ids: &[String]) -> Result<(), AgentError> {
        let Some(locked) = unlock::wanted(&self.listed, ids) else { return Ok(()) };
        unlock::unlock(&self.channel().await?, &self.prompt, &self.trust_dir()?, &locked).await?;
        unlock::note(&mut self.listed, &locked);
        Ok(())
    }

    /// Unlocks one of these keys as [`Client::unlock_one_of`] does, and of the others those key files that open without a
    /// question: a role is signed by as many of its keys as are at hand, and nobody is asked more often than it takes.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn unlock_signers(&mut self, ids: &[String]) -> Result<(), AgentError> {
        self.unlock_one_of(ids).await?;
        for locked in unlock::locked_files(&self.listed, ids) {
            if unlock::unlock_unasked(&self.channel().await?, &self.prompt, &self.trust_dir()?, &locked).await? {
                unlock::note(&mut self.listed, &locked);
            }
        }
        Ok(())
    }

    /// The key with its public part: of an encrypted file that another program wrote it is known once the file is open.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn with_public(&mut self, key: v1::Key) -> Result<v1::Key, AgentError> {
        if !key.spki.is_empty() {
            return Ok(key);
        }
        self.unlock_one_of(std::slice::from_ref(&key.key_id)).await?;
        Ok(self.keys().await?.into_iter().find(|listed| listed.key_id == key.key_id).unwrap_or(key))
    }

    /// Tells the agent what the server accepted.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn published(&mut self, gun: &Gun, evidence: v1::Evidence) -> Result<(), AgentError> {
        let request = v1::PublishedRequest { gun: gun.to_string(), evidence: Some(evidence) };
        answered(signing_client(&self.channel().await?).published(request)).await.map(drop)
    }

    /// What would be decided; signs nothing, unlocks nothing. Sets `trust_dir` itself.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn preview(&mut self, mut request: v1::SignRequest) -> Result<v1::PreviewResponse, AgentError> {
        request.trust_dir = self.trust_dir()?;
        let request = v1::PreviewRequest { request: Some(request) };
        answered(signing_client(&self.channel().await?).preview(request)).await
    }

    /// Gives up a signed root that never got out.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn abandon(&mut self, request: v1::AbandonRequest) -> Result<v1::AbandonResponse, AgentError> {
        answered(signing_client(&self.channel().await?).abandon(request)).await
    }

    /// A connection; starts an agent if none runs and none was named.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn link(&mut self) -> Result<Link, AgentError> {
        if let Some(link) = &self.link {
            return Ok(link.clone());
        }
        let mut link = self.linked(IfAbsent::Start).await?;
        let mut since = None;
        // an agent that is idle for long ends by itself, perhaps at the moment at which it is wanted
        while skew::tell(&link.channel).await == Heard::No
            && self.address == Address::Own
            && since.get_or_insert_with(Instant::now).elapsed() < ENDING
        {
            self.link = None;
            tokio::time::sleep(RACE_PAUSE).await;
            link = self.linked(IfAbsent::Start).await?;
        }
        Ok(link)
    }

    /// A connection to an agent that runs already.
    ///
    /// # Errors
    /// [`AgentError::NotRunning`], [`AgentError::Unreachable`] if there is none; [`AgentError::Elsewhere`].
    pub async fn running(&mut self) -> Result<Link, AgentError> {
        self.linked(IfAbsent::Fail).await
    }

    /// Where the agent listens, or would.
    ///
    /// # Errors
    /// [`AgentError::Setting`]
    pub fn socket(&self) -> Result<PathBuf, AgentError> {
        match &self.address {
            Address::Named(socket) => Ok(socket.clone()),
            Address::Own => Ok(self.launch(None, None)?.socket),
        }
    }

    /// What this user's own agent is started with.
    ///
    /// # Errors
    /// [`AgentError::Setting`]
    pub fn launch(&self, config: Option<&Path>, idle_timeout_seconds: Option<u64>) -> Result<Launch, AgentError> {
        let state_dir = socket::state_dir(&self.environment)?;
        let directory = socket::directory(&self.environment, rustix::process::geteuid().as_raw());
        let socket = directory.join(socket::file_name(&state_dir));
        let config = config.map(|path| self.environment.absolute(path));
        Ok(Launch { state_dir, socket, config, idle_timeout_seconds })
    }

    /// Starts an agent, or finds the one that another process starts at the same time.
    ///
    /// # Errors
    /// [`AgentError::Start`], [`AgentError::Elsewhere`]
    pub async fn start(&mut self, launch: &Launch) -> Result<Link, AgentError> {
        // an agent that is at its end keeps ours from starting, and is gone a moment later
        let mut in_the_way = holder::lives(&launch.state_dir);
        let mut started = start::start(launch, &self.environment).await;
        let mut patience = RACE_TRIES;
        loop {
            match socket::connect(&launch.socket, Demand::Private).await? {
                Found::Agent(link) => return Ok(self.link.insert(link).clone()),
                Found::Nobody(_) if patience > 0 && holder::lives(&launch.state_dir) => {
                    if let Ok(Some(link)) = holder::connect(&launch.state_dir).await {
                        return Ok(self.link.insert(link).clone());
                    }
                    patience = patience.saturating_sub(1);
                    tokio::time::sleep(RACE_PAUSE).await;
                }
                Found::Nobody(_) if started.is_err() && in_the_way && !holder::lives(&launch.state_dir) => {
                    in_the_way = false;
                    started = start::start(launch, &self.environment).await;
                }
                Found::Nobody(error) => {
                    // the agent that cannot be reached explains more than the one that gave way to it
                    if started.is_err()
                        && let Some(link) = holder::connect(&launch.state_dir).await?
                    {
                        return Ok(self.link.insert(link).clone());
                    }
                    started?;
                    return Err(AgentError::Unreachable { socket: launch.socket.clone(), cause: error.to_string() });
                }
            }
        }
    }

    async fn linked(&mut self, if_absent: IfAbsent) -> Result<Link, AgentError> {
        if let Some(link) = &self.link {
            return Ok(link.clone());
        }
        let (socket, demand) = (self.socket()?, self.demand());
        match (socket::connect(&socket, demand).await?, &self.address) {
            (Found::Agent(link), _) => return Ok(self.link.insert(link).clone()),
            (Found::Nobody(error), Address::Named(_)) => {
                return Err(AgentError::Unreachable { socket, cause: error.to_string() });
            }
            (Found::Nobody(_), Address::Own) => {}
        }
        let launch = self.launch(None, Some(IDLE_SECONDS))?;
        match (holder::connect(&launch.state_dir).await, if_absent) {
            (Ok(Some(link)), _) => Ok(self.link.insert(link).clone()),
            // whoever has the lock and does not listen may be starting
            (Ok(None) | Err(_), IfAbsent::Start) => self.start(&launch).await,
            (Ok(None), IfAbsent::Fail) => Err(AgentError::NotRunning { socket }),
            (Err(error), IfAbsent::Fail) => Err(error),
        }
    }

    const fn demand(&self) -> Demand {
        match self.address {
            Address::Named(_) => Demand::Guarded,
            Address::Own => Demand::Private,
        }
    }

    async fn channel(&mut self) -> Result<Channel, AgentError> {
        Ok(self.link().await?.channel)
    }

    /// Calls, unlocks what is locked, and calls again. What is still locked after it was unlocked ends it. Meanwhile it is
    /// told which of the YubiKeys in `touched` wants to be touched.
    async fn unlocking<T>(
        &mut self,
        touched: BTreeSet<String>,
        mut call: impl AsyncFnMut(&Channel) -> Result<T, AgentError>,
    ) -> Result<T, AgentError> {
        let channel = self.channel().await?;
        let mut watch = Watch::open(&channel, touched).await;
        let mut unlocked: Vec<Locked> = Vec::new();
        loop {
            let error = match watch.during(call(&channel)).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match Locked::of(&error) {
                Some(locked) if !unlocked.contains(&locked) => {
                    unlock::unlock(&channel, &self.prompt, &self.trust_dir()?, &locked).await?;
                    unlocked.push(locked);
                }
                _ => return Err(error),
            }
        }
    }

    /// The YubiKeys that may want to be touched for these keys, by the last listing.
    fn touchable(&self, ids: &[String]) -> BTreeSet<String> {
        touch::touchable(&self.listed, ids.iter().map(String::as_str))
    }

    fn trust_dir(&self) -> Result<String, AgentError> {
        let name = error::TRUST_DIR;
        let unicode = self.trust_dir.to_str().map(str::to_owned);
        unicode.ok_or_else(|| AgentError::Setting { name, wanted: "UTF-8", value: self.trust_dir.clone() })
    }
}

/// Says on stderr what the agent told beside its answer.
pub fn warn_of(sentences: &[String]) {
    for sentence in sentences {
        tracing::warn!("{}", visible(sentence));
    }
}

/// An answer within the time allowed.
///
/// # Errors
/// [`AgentError`]
pub async fn answered<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, AgentError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(AgentError::TimedOut { seconds: REQUEST_TIMEOUT.as_secs() }),
    }
}

macro_rules! clients {
    ($($(#[$doc:meta])* $function:ident -> $client:ident,)+) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $function(channel: &Channel) -> $client<Channel> {
            $client::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES)
        })+
    };
}

clients! {
    /// Service `Agent`.
    agent_client -> AgentClient,
    /// Service `Audit`.
    audit_client -> AuditClient,
    /// Service `Keys`.
    keys_client -> KeysClient,
    /// Service `Signing`.
    signing_client -> SigningClient,
    /// Service `Tokens`.
    tokens_client -> TokensClient,
}
