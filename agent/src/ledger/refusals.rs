//! Refusals are recorded, but nobody fills the disk with them.

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

use super::RefusedRequest;
use crate::{
    caller::Principal,
    log::{Event, Hash},
};

/// Records for refusals of one principal within [`WINDOW`]; more are counted.
const MOST: u32 = 60;
const WINDOW: Duration = Duration::MINUTE;

/// What each principal was refused lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<Principal, Lately>);

#[derive(Debug)]
struct Lately {
    since: OffsetDateTime,
    recorded: u32,
    uncounted: u64,
    last: Hash,
}

impl Refusals {
    /// The event to record, or none if it is equal to the last one or in excess: then it is counted.
    pub(super) fn admit(&mut self, refused: &RefusedRequest, now: OffsetDateTime) -> Option<Event> {
        let same = fingerprint(refused);
        let lately = self.0.entry(refused.principal.clone()).or_insert(Lately {
            since: now,
            recorded: 0,
            uncounted: 0,
            last: Hash::default(),
        });
        if window_is_over(lately.since, now) {
            lately.since = now;
            lately.recorded = 0;
            lately.last = Hash::default();
        }
        if lately.last == same || lately.recorded >= MOST {
            lately.uncounted = lately.uncounted.saturating_add(1);
            return None;
        }
        lately.recorded = lately.recorded.saturating_add(1);
        lately.last = same;
        Some(event(refused, std::mem::take(&mut lately.uncounted)))
    }
}

/// A clock that was set back starts a new window too.
fn window_is_over(since: OffsetDateTime, now: OffsetDateTime) -> bool {
    now < since || now >= since.saturating_add(WINDOW)
}

fn fingerprint(refused: &RefusedRequest) -> Hash {
    let content = refused.content.map(|mark| format!("{} {}", mark.version, mark.digest)).unwrap_or_default();
    let text = format!("{}\0{}\0{}\0{content}\0{}", refused.request, refused.gun, refused.role, refused.reason);
    *signet_tuf::Digest::of(text.as_bytes()).as_bytes()
}

fn event(refused: &RefusedRequest, uncounted: u64) -> Event {
    let cut = |text: &str| text.chars().take(256).collect::<String>();
    Event::Refused {
        request: refused.request,
        gun: cut(&refused.gun),
        role: cut(&refused.role),
        content: refused.content.map(|mark| (mark.version, mark.digest)),
        reason: refused.reason,
        uncounted,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn refused(gun: &str) -> RefusedRequest {
        RefusedRequest {
            principal: Principal::from_uid(1),
            request: "sign",
            gun: gun.to_owned(),
            role: "targets".to_owned(),
            content: None,
            reason: "VERSION_ROLLBACK",
        }
    }

    fn uncounted(event: Option<Event>) -> Option<u64> {
        match event {
            Some(Event::Refused { uncounted, .. }) => Some(uncounted),
            _ => None,
        }
    }

    #[test]
    fn equal_refusals_are_counted_and_the_next_record_tells() {
        let (mut refusals, now) = (Refusals::default(), datetime!(2026-11-20 12:00 UTC));
        assert_eq!(uncounted(refusals.admit(&refused("a"), now)), Some(0));
        assert_eq!(uncounted(refusals.admit(&refused("a"), now)), None);
        assert_eq!(uncounted(refusals.admit(&refused("a"), now)), None);
        assert_eq!(uncounted(refusals.admit(&refused("b"), now)), Some(2));
        assert_eq!(uncounted(refusals.admit(&refused("b"), now + Duration::minutes(2))), Some(0));
    }

    #[test]
    fn a_flood_is_bounded() {
        let (mut refusals, now) = (Refusals::default(), datetime!(2026-11-20 12:00 UTC));
        let recorded = (0..1000).filter(|n| refusals.admit(&refused(&n.to_string()), now).is_some()).count();
        assert_eq!(recorded, 60);
    }
}
