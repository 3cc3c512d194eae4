//! What is known of a token right now, written by its owner and read by everybody without asking the token.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signet_tuf::{Gun, Role};

use super::events::{Event, Events};
use super::piv::SlotFacts;
use super::token::{Facts, KeyObject, Login};
use super::unlock::Unlocks;
use super::{KeyInfo, Located, Place, PlaceState, Tries};
use crate::caller::Connection;
use crate::uri;

/// One token, as its owner last saw it.
#[derive(Debug, Clone)]
pub(super) struct Board {
    name: Arc<str>,
    state: Arc<Mutex<State>>,
    events: Events,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Kept when the token goes: its keys are absent then, not forgotten.
    pub(super) facts: Option<Facts>,
    pub(super) keys: Vec<KeyObject>,
    pub(super) presence: Presence,
    pub(super) unlocks: Unlocks,
    pub(super) trouble: Option<String>,
    /// Changes with every login, logout and re-opening: object handles found before are void.
    pub(super) epoch: u64,
    /// How long its last signature took.
    pace: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Presence {
    /// Nobody looked yet.
    #[default]
    Unknown,
    Here,
    Gone,
}

impl Board {
    pub(super) fn new(name: &str, events: Events) -> Self {
        Self { name: name.into(), state: Arc::default(), events }
    }

    pub(super) fn tell(&self, event: impl FnOnce(String) -> Event) {
        self.events.tell(event(self.name().to_owned()));
    }

    /// The keys in slots.
    pub(super) fn slots(&self) -> Vec<(KeyInfo, SlotFacts)> {
        let state = self.state();
        let slot = |key: &KeyObject| Some((self.located_one(&state, key, PlaceState::Ready).info, key.slot.clone()?));
        state.keys.iter().filter_map(slot).collect()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_pace(&self, took: Duration) {
        self.state().pace = Some(took);
    }

    /// Whether the last signature took no longer than that.
    pub(super) fn signs_within(&self, limit: Duration) -> bool {
        self.state().pace.is_some_and(|pace| pace <= limit)
    }

    /// The token's keys, as one connection sees them.
    pub(super) fn located(&self, connection: &Arc<Connection>) -> Vec<Located> {
        let state = self.state();
        let place_state = match state.presence {
            Presence::Unknown | Presence::Gone => PlaceState::Absent,
            Presence::Here if state.admits(connection) => PlaceState::Ready,
            Presence::Here => PlaceState::Locked,
        };
        state.keys.iter().map(|key| self.located_one(&state, key, place_state)).collect()
    }

    /// One key, as it is seen by who may use it.
    pub(super) fn info(&self, key: &KeyObject) -> KeyInfo {
        self.located_one(&self.state(), key, PlaceState::Ready).info
    }

    /// The places of all keys.
    pub(super) fn places(&self) -> Vec<Place> {
        let state = self.state();
        state.keys.iter().map(|key| self.located_one(&state, key, PlaceState::Ready).place).collect()
    }

    fn located_one(&self, state: &State, key: &KeyObject, place_state: PlaceState) -> Located {
        let (label, serial) = state.facts.as_ref().map_or(("", ""), |facts| (&facts.label, &facts.serial));
        let token = self.name().to_owned();
        let place = match &key.slot {
            Some(facts) => Place::Slot { token, slot: facts.slot },
            None => Place::Token { token, uri: uri::of_key(label, serial, &key.label, &key.id) },
        };
        let (role, gun) = role_and_gun(key);
        let info = KeyInfo {
            name: Some(key.public.name()),
            key_id: key.public.canonical_id(),
            public: Some(key.public.clone()),
            role,
            gun,
            places: vec![(place.clone(), place_state)],
            slots: key.slot.iter().map(|facts| (self.name().to_owned(), facts.clone())).collect(),
        };
        Located { place, state: place_state, info }
    }
}

impl State {
    pub(super) fn admits(&self, connection: &Arc<Connection>) -> bool {
        self.needs_no_login() || self.unlocks.admits(connection)
    }

    pub(super) fn needs_no_login(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.login == Login::Needless)
    }

    pub(super) fn tries(&self) -> Tries {
        match (self.presence, &self.facts) {
            (Presence::Here, Some(facts)) => facts.tries,
            (Presence::Here | Presence::Unknown | Presence::Gone, _) => Tries::Unknown,
        }
    }

    pub(super) fn next_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }
}

/// The label of a key for a role, and for one collection if it has one.
pub(super) fn label(role: &str, gun: Option<&Gun>) -> String {
    match gun {
        Some(gun) => format!("{role} {gun}"),
        None => role.to_owned(),
    }
}

/// Reads [`label`] back. Labels that others chose tell a role only if it is the name of one.
fn role_and_gun(key: &KeyObject) -> (Option<String>, Option<String>) {
    let ours = key.id == key.public.name().as_bytes();
    let (role, gun) = match key.label.split_once(' ') {
        Some((role, gun)) => (role, Some(gun)),
        None => (key.label.as_str(), None),
    };
    let role_is_known = !role.is_empty() && (ours || Role::parse(role).is_ok());
    let gun = gun.map(Gun::parse).transpose();
    match gun {
        Ok(gun) if role_is_known => (Some(role.to_owned()), gun.map(|gun| gun.to_string())),
        Ok(_) | Err(_) => (None, None),
    }
}
