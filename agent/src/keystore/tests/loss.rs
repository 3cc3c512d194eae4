//! A token that disappears between two signatures and comes back: SoftHSM behind p11-kit's server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::task::JoinSet;

use super::{Lab, PIN, SOFTHSM, alone, connection, eventually, key_on, permit, start, token_of};
use crate::config::TokenConfig;
use crate::keystore::{KeystoreError, Keystores, PlaceState, TokenInfo};

const CLIENT: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";

/// `p11-kit server` and the process it starts for each connection.
struct Server(Child);

impl Server {
    async fn start(lab: &Lab) -> Self {
        let socket = lab.path("p11-kit.sock");
        // A server that was killed leaves its socket.
        drop(fs::remove_file(&socket));
        let child = Command::new("p11-kit")
            .args(["server", "--foreground", "--provider", SOFTHSM, "--name"])
            .arg(&socket)
            .arg("pkcs11:")
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        eventually("p11-kit server listens", async || socket.exists()).await;
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.0);
        kill_process_group(group, Signal::KILL).unwrap();
        self.0.wait().unwrap();
    }
}

async fn info(keystores: &Keystores) -> TokenInfo {
    keystores.tokens().await.remove(0)
}

#[test]
fn a_token_lost_between_two_signatures_works_again_by_itself() {
    alone(async |lab| {
        lab.make_token("lost");
        let server = Server::start(&lab).await;
        let keystores = start(&[token_of(CLIENT, "lost")]).unwrap();
        let connection = connection();
        eventually("the token is seen", async || info(&keystores).await.present).await;
        let key = key_on(&keystores, "lost", &connection).await;
        let public = key.public.clone().unwrap();
        let place = key.places[0].0.clone();
        let sign = async || keystores.sign(&permit(&public, b"message"), &place, None, &connection).await;
        sign().await.unwrap();

        drop(server);
        let failed = sign().await;
        assert!(matches!(failed, Err(KeystoreError::Absent { .. } | KeystoreError::Failed { .. })), "{failed:?}");
        eventually("its keys are absent", async || {
            keystores.list(None, &connection).await.keys.iter().all(|key| key.places[0].1 == PlaceState::Absent)
        })
        .await;
        assert!(info(&keystores).await.trouble.is_some());

        let _server = Server::start(&lab).await;
        // The connection still lives, so nobody is asked for the PIN again.
        eventually("it signs again", async || sign().await.is_ok()).await;
        let signature = sign().await.unwrap();
        public.verify(public.method(), b"message", &signature).unwrap();
        assert_eq!(info(&keystores).await.trouble, None);
    });
}

/// A quick token is signed with in the asker's thread, where nobody can stop waiting.
#[test]
fn a_token_that_hangs_holds_up_only_who_waits_for_it_and_that_is_told() {
    alone(async |lab| {
        lab.make_token("hangs");
        let server = Server::start(&lab).await;
        let keystores = start(&[token_of(CLIENT, "hangs")]).unwrap();
        let connection = connection();
        eventually("the token is seen", async || info(&keystores).await.present).await;
        let key = key_on(&keystores, "hangs", &connection).await;
        let (public, place) = (key.public.clone().unwrap(), key.places[0].0.clone());
        let sign = || {
            let (keystores, connection, public, place) =
                (keystores.clone(), Arc::clone(&connection), public.clone(), place.clone());
            async move { keystores.sign(&permit(&public, b"message"), &place, None, &connection).await }
        };
        let patience = Duration::from_millis(100);
        let mut seen = false;
        // A busy machine may make a quick token slow for once: then a thread waits for it.
        for _ in 0..50 {
            sign().await.unwrap();
            kill_process_group(Pid::from_child(&server.0), Signal::STOP).unwrap();
            let mut waiting = JoinSet::new();
            let task = waiting.spawn(sign()).id();
            let mut idle = JoinSet::new();
            let other = idle.spawn(std::future::pending::<()>()).id();
            tokio::time::sleep(patience * 2).await;
            let told = keystores.overdue(task, patience);
            assert!(keystores.overdue(other, patience).is_ok(), "another request waits for nothing");
            idle.abort_all();
            kill_process_group(Pid::from_child(&server.0), Signal::CONT).unwrap();
            waiting.join_next().await.unwrap().unwrap().unwrap();
            assert!(keystores.overdue(task, patience).is_ok(), "it has been answered");
            if let Err(error) = told {
                assert!(error.to_string().contains("hangs failed: no answer within"), "{error}");
                assert!(!error.nothing_signed());
                seen = true;
                break;
            }
        }
        assert!(seen, "no signature was waited for in the asker's thread");
    });
}

#[test]
fn a_token_that_came_back_before_anybody_noticed_just_signs() {
    alone(async |lab| {
        lab.make_token("lost");
        let server = Server::start(&lab).await;
        let keystores = start(&[token_of(CLIENT, "lost")]).unwrap();
        let connection = connection();
        eventually("the token is seen", async || info(&keystores).await.present).await;
        let key = key_on(&keystores, "lost", &connection).await;
        let permit = permit(key.public.as_ref().unwrap(), b"message");
        keystores.sign(&permit, &key.places[0].0, None, &connection).await.unwrap();
        drop(server);
        let _server = Server::start(&lab).await;
        eventually("it signs again", async || {
            keystores.sign(&permit, &key.places[0].0, None, &connection).await.is_ok()
        })
        .await;
    });
}

#[test]
fn a_pin_that_was_changed_meanwhile_is_forgotten() {
    alone(async |lab| {
        lab.make_token("lost");
        let server = Server::start(&lab).await;
        let keystores = start(&[token_of(CLIENT, "lost")]).unwrap();
        let connection = connection();
        eventually("the token is seen", async || info(&keystores).await.present).await;
        let key = key_on(&keystores, "lost", &connection).await;
        let permit = permit(key.public.as_ref().unwrap(), b"message");
        drop(server);
        lab.pkcs11_tool("lost", &["--change-pin", "--new-pin", "161803"]);
        let _server = Server::start(&lab).await;
        eventually("it is locked", async || {
            let refused = keystores.sign(&permit, &key.places[0].0, None, &connection).await;
            matches!(refused, Err(KeystoreError::Locked { .. }))
        })
        .await;
        // The one try that the old PIN cost is the only one.
        lab.pkcs11_tool_with("lost", "161803", &["--list-objects"]);
        for _ in 0..3 {
            drop(keystores.sign(&permit, &key.places[0].0, None, &connection).await);
            keystores.list(None, &connection).await;
        }
        assert!(!lab.flags("lost").contains("user PIN count low"));
        assert_ne!(PIN, "161803");
    });
}

#[test]
fn signatures_go_on_while_the_token_comes_and_goes() {
    alone(async |lab| {
        lab.make_token("lost");
        let mut server = Server::start(&lab).await;
        let keystores = start(&[token_of(CLIENT, "lost")]).unwrap();
        let connection = connection();
        eventually("the token is seen", async || info(&keystores).await.present).await;
        let key = key_on(&keystores, "lost", &connection).await;
        let public = key.public.clone().unwrap();
        let place = key.places[0].0.clone();
        let mut tasks = JoinSet::new();
        for number in 0..8_u8 {
            let (keystores, public, place) = (keystores.clone(), public.clone(), place.clone());
            let connection = Arc::clone(&connection);
            tasks.spawn(async move {
                let mut signed = 0_u32;
                while signed < 40 {
                    match keystores.sign(&permit(&public, &[number]), &place, None, &connection).await {
                        Ok(signature) => {
                            public.verify(public.method(), &[number], &signature).unwrap();
                            signed += 1;
                        }
                        Err(KeystoreError::Absent { .. } | KeystoreError::Failed { .. }) => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
        }
        for _ in 0..3 {
            eventually("it signs", async || {
                keystores.sign(&permit(&public, b"probe"), &place, None, &connection).await.is_ok()
            })
            .await;
            drop(server);
            server = Server::start(&lab).await;
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        drop(server);
    });
}

#[test]
fn a_pin_file_unlocks_again_unless_the_token_was_locked_by_command() {
    alone(async |lab| {
        lab.make_token("lost");
        let pin_file = lab.path("pin");
        fs::write(&pin_file, PIN).unwrap();
        fs::set_permissions(&pin_file, Permissions::from_mode(0o600)).unwrap();
        let server = Server::start(&lab).await;
        let config = TokenConfig { pin_file: Some(pin_file), ..token_of(CLIENT, "lost") };
        let keystores = start(&[config]).unwrap();
        let unlocked = async || info(&keystores).await.unlocked;
        eventually("unlocked by its PIN file", unlocked).await;
        drop(server);
        eventually("it is gone", async || !info(&keystores).await.present).await;
        let server = Server::start(&lab).await;
        eventually("unlocked again", unlocked).await;

        keystores.lock(Some("lost")).await.unwrap();
        drop(server);
        eventually("it is gone", async || !info(&keystores).await.present).await;
        let _server = Server::start(&lab).await;
        eventually("it is back", async || info(&keystores).await.present).await;
        assert!(!unlocked().await);
    });
}
