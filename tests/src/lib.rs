//! A stage for stories: real SoftHSM tokens, a real notary-server, the real `notary`, `signet` and `signet-agent`.
//!
//! Every story has its own of everything (directories, ports, tokens, authority), and all of it dies with the story.
#![expect(clippy::missing_errors_doc, reason = "every error here is a story that failed, with a transcript in it")]

mod agent;
mod authority;
mod bad_server;
mod binaries;
mod connect_proxy;
mod door;
mod home;
mod mounts;
mod notary_server;
mod observers;
mod openssl;
mod other_agent;
mod p11kit;
mod process;
mod record;
mod softhsm;
mod stage;
mod terminal;
mod token_server;
mod twins;
mod wait;
mod wire;
mod yubikeys;

pub use agent::Agent;
pub use authority::{Authority, Identity, Validity};
pub use bad_server::{Answer, BadServer};
pub use binaries::binary;
pub use connect_proxy::{ConnectProxy, PROXY_USER, Temper};
pub use home::Home;
pub use mounts::{Mount, Mounts};
pub use notary_server::{Guard, NotaryServer};
pub use observers::{docker, libykcs11, ykman};
pub use openssl::{Openssl, Paper};
pub use other_agent::OtherAgent;
pub use p11kit::{CLIENT_MODULE, P11KitServer};
pub use process::{Background, Call, Finished};
pub use record::Event;
pub use softhsm::{MODULE as SOFTHSM_MODULE, SPY_MODULE, Softhsm};
pub use stage::{PIN, Stage, token_table};
pub use terminal::Terminal;
pub use token_server::{ALICE, Asked, IDENTITY_TOKEN, Manner, Oddity, RAY, TokenServer, docker_config, notary_auth};
pub use twins::{MARKS, Mask, behind_the_usage, compat_paper, log_lines_only};
pub use wait::wait_until;
pub use wire::Wire;
pub use yubikeys::{Desk, YUBIKEY_PIN, YUBIKEY_PUK, set_up, yubikey_table};
