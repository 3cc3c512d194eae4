//! While a request waits for a YubiKey, the person is told to touch it.

mod board;

use std::{
    collections::BTreeSet,
    io,
    pin::pin,
    time::{Duration, Instant},
};

use signet_proto::v1::{self, token_event::Kind};
use tokio::{
    select,
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tonic::{Status, Streaming, transport::Channel};

use self::board::Board;
use super::tokens_client;
use crate::log::visible;

/// How long the agent may take to say that events will be told.
const OPENING: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);
/// A YubiKey's touch policy under which it never wants one.
const NEVER: &str = "never";

/// The YubiKeys that may want to be touched for a signature with one of these keys (canonical IDs), by the agent's names.
#[must_use]
pub fn touchable<'a>(keys: &[v1::Key], ids: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let wanted = ids.into_iter().filter_map(|id| keys.iter().find(|key| key.key_id == id));
    let places = wanted.flat_map(|key| &key.places);
    let wants_touch = |place: &&v1::Place| place.kind() == v1::PlaceKind::Piv && place.touch_policy != NEVER;
    places.filter(wants_touch).map(|place| place.token.clone()).collect()
}

/// The YubiKey that is meant by the name of a token, if it may be one: a YubiKey's name is its serial number.
#[must_use]
pub fn perhaps_yubikey(token: &str) -> BTreeSet<String> {
    let is_serial = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    is_serial.then(|| token.to_owned()).into_iter().collect()
}

/// Hears what happens to some YubiKeys.
pub struct Watch(Option<Open>);

struct Open {
    tokens: BTreeSet<String>,
    /// None once the agent has ended it.
    events: Option<Streaming<v1::TokenEvent>>,
    board: Board<io::Stderr>,
    seconds: Interval,
}

impl Watch {
    /// Begins to hear; asks the agent nothing if there is no YubiKey to hear of. A request is not refused because the
    /// agent does not tell.
    pub async fn open(channel: &Channel, tokens: BTreeSet<String>) -> Self {
        if tokens.is_empty() {
            return Self(None);
        }
        let why = match timeout(OPENING, events(channel)).await {
            Ok(Ok(events)) => {
                let mut seconds = interval(SECOND);
                seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
                return Self(Some(Open { tokens, events: Some(events), board: Board::stderr(), seconds }));
            }
            Ok(Err(status)) => visible(status.message()),
            Err(_) => format!("no answer within {} s", OPENING.as_secs()),
        };
        tracing::warn!("the agent cannot tell when a YubiKey wants to be touched ({why}): look whether it blinks");
        Self(None)
    }

    /// Waits for `call`, and meanwhile says which YubiKey is to be touched. What is still to be touched then is shown again
    /// with the next call.
    ///
    /// # Cancellation
    /// A countdown may be left on the terminal.
    pub async fn during<T>(&mut self, call: impl Future<Output = T>) -> T {
        let Some(open) = &mut self.0 else { return call.await };
        let mut call = pin!(call);
        loop {
            select! {
                // what was told before the call was done is shown
                biased;
                event = next(&mut open.events), if open.events.is_some() => match event {
                    Some(event) if is_of(&event, &open.tokens) => {
                        open.board.hear(&event, Instant::now());
                        // counted from now: a tick at another moment would show some seconds twice
                        open.seconds.reset();
                    }
                    Some(_) => {}
                    None => open.events = None,
                },
                done = &mut call => {
                    open.board.hide();
                    open.seconds.reset_immediately();
                    return done;
                }
                _ = open.seconds.tick(), if open.board.counts_down() => open.board.draw(Instant::now()),
            }
        }
    }
}

/// The stream, open: nothing that happens from now on is missed.
async fn events(channel: &Channel) -> Result<Streaming<v1::TokenEvent>, Status> {
    let mut events = tokens_client(channel).watch(v1::WatchTokensRequest {}).await?.into_inner();
    while events.message().await?.is_some_and(|event| event.kind() != Kind::Unspecified) {}
    Ok(events)
}

async fn next(events: &mut Option<Streaming<v1::TokenEvent>>) -> Option<v1::TokenEvent> {
    events.as_mut()?.message().await.ok().flatten()
}

fn is_of(event: &v1::TokenEvent, tokens: &BTreeSet<String>) -> bool {
    event.token.as_ref().is_some_and(|token| tokens.contains(&token.name) || tokens.contains(&token.serial))
}

/// What a touch is for: "root of example.com/acme/app". Empty for what belongs to no collection.
#[must_use]
pub fn purpose(role: &str, gun: &str) -> String {
    visible(&match (role, gun) {
        (role, "") => role.to_owned(),
        ("", gun) => gun.to_owned(),
        (role, gun) => format!("{role} of {gun}"),
    })
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::{is_of, perhaps_yubikey, purpose, touchable};

    #[test]
    fn only_yubikeys_that_may_want_a_touch_are_heard() {
        let place = |kind: v1::PlaceKind, token: &str, policy: &str| v1::Place {
            kind: kind.into(),
            token: token.to_owned(),
            touch_policy: policy.to_owned(),
            ..v1::Place::default()
        };
        let key = |id: &str, places: Vec<v1::Place>| v1::Key { key_id: id.to_owned(), places, ..v1::Key::default() };
        let keys = [
            key("1", vec![place(v1::PlaceKind::Pkcs11, "release", "")]),
            key("2", vec![place(v1::PlaceKind::Piv, "4711", "always"), place(v1::PlaceKind::File, "", "")]),
            key("3", vec![place(v1::PlaceKind::Piv, "12", ""), place(v1::PlaceKind::Piv, "4711", "cached")]),
            key("4", vec![place(v1::PlaceKind::Piv, "13", "never")]),
        ];
        for (ids, expected) in
            [(&["1", "4", "5"][..], &[][..]), (&["2"], &["4711"]), (&["1", "2", "3"], &["12", "4711"])]
        {
            assert!(touchable(&keys, ids.iter().copied()).iter().eq(expected), "{ids:?}");
        }
        let of = |serial: &str| {
            let token = v1::Token { serial: serial.to_owned(), ..v1::Token::default() };
            is_of(&v1::TokenEvent { token: Some(token), ..v1::TokenEvent::default() }, &touchable(&keys, ["2"]))
        };
        assert!(of("4711") && !of("12"));
    }

    #[test]
    fn a_yubikey_is_called_by_its_serial_number() {
        for (name, expected) in [("4711", 1), ("release", 0), ("pkcs11:serial=4711", 0), ("", 0)] {
            assert_eq!(perhaps_yubikey(name).len(), expected, "{name}");
        }
    }

    #[test]
    fn a_purpose_is_a_role_and_a_collection_as_far_as_known() {
        for (role, gun, expected) in [("root", "g", "root of g"), ("root", "", "root"), ("", "g", "g"), ("", "", "")] {
            assert_eq!(purpose(role, gun), expected);
        }
    }
}
