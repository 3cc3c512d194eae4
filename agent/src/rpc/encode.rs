//! Keys and tokens as messages.

use signet_proto::v1;

use crate::{
    keystore::{Attested, CardFacts, Count, Event, KeyInfo, Place, PlaceState, SlotFacts, TokenInfo, Tries},
    sign::Drilled,
};

/// `attested` is what its token stated when it was made.
pub(super) fn key(info: KeyInfo, attested: Option<&Attested>) -> v1::Key {
    v1::Key {
        places: info.places.iter().map(|(at, state)| place(at, *state, &info.slots, attested)).collect(),
        name: info.name.map(|name| name.to_string()).unwrap_or_default(),
        key_id: info.key_id.to_string(),
        algorithm: info.public.as_ref().map(|public| public.algorithm().to_string()).unwrap_or_default(),
        spki: info.public.as_ref().map(|public| public.spki().to_vec()).unwrap_or_default(),
        role: info.role.unwrap_or_default(),
        gun: info.gun.unwrap_or_default(),
    }
}

fn place(at: &Place, state: PlaceState, slots: &[(String, SlotFacts)], attested: Option<&Attested>) -> v1::Place {
    let kind = match at {
        Place::Token { .. } => v1::PlaceKind::Pkcs11,
        Place::Slot { .. } => v1::PlaceKind::Piv,
        Place::File(_) => v1::PlaceKind::File,
    };
    let facts = match at {
        Place::Slot { token, slot } => slots.iter().find(|(on, facts)| on == token && facts.slot == *slot),
        Place::Token { .. } | Place::File(_) => None,
    };
    let facts = facts.map(|(_, facts)| facts);
    let state = match state {
        PlaceState::Ready => v1::PlaceState::Ready,
        PlaceState::Locked => v1::PlaceState::Locked,
        PlaceState::Absent => v1::PlaceState::Absent,
    };
    v1::Place {
        kind: kind.into(),
        uri: at.to_string(),
        state: state.into(),
        token: at.token().unwrap_or_default().to_owned(),
        origin: facts.and_then(|facts| facts.origin).map(|origin| origin.as_str().to_owned()).unwrap_or_default(),
        pin_policy: facts.and_then(|facts| facts.pin).map(|policy| policy.as_str().to_owned()).unwrap_or_default(),
        touch_policy: facts.and_then(|facts| facts.touch).map(|policy| policy.as_str().to_owned()).unwrap_or_default(),
        attestation: attestation(attested.filter(|_| kind == v1::PlaceKind::Piv)).into(),
    }
}

pub(super) fn attestation(attested: Option<&Attested>) -> v1::AttestationState {
    match attested.map(|attested| &attested.anchor) {
        None => v1::AttestationState::None,
        Some(Ok(_)) => v1::AttestationState::Verified,
        Some(Err(_)) => v1::AttestationState::Unverified,
    }
}

pub(super) fn drilled(drilled: Drilled) -> v1::DrillResult {
    let reason = drilled.reason().map(|reason| reason.to_string()).unwrap_or_default();
    let Drilled { info, place, result } = drilled;
    let key = key(info, None);
    v1::DrillResult {
        name: key.name,
        key_id: key.key_id,
        role: key.role,
        gun: key.gun,
        place: place.to_string(),
        signed: result.is_ok(),
        reason,
        message: result.err().map(|error| error.to_string()).unwrap_or_default(),
        token: place.token().unwrap_or_default().to_owned(),
    }
}

pub(super) fn token(info: TokenInfo) -> v1::Token {
    let kind = if info.module.is_some() { v1::TokenKind::Pkcs11 } else { v1::TokenKind::Yubikey };
    v1::Token {
        yubikey: info.card.map(|card| yubikey(card, info.slots)),
        name: info.name,
        label: info.label,
        serial: info.serial,
        model: info.model,
        module: info.module.map(|path| path.display().to_string()).unwrap_or_default(),
        present: info.present,
        unlocked: info.unlocked,
        tries: tries(info.tries).into(),
        trouble: info.trouble.unwrap_or_default(),
        kind: kind.into(),
        roles: info.roles,
    }
}

fn yubikey(card: CardFacts, slots: Vec<(KeyInfo, SlotFacts)>) -> v1::YubiKey {
    v1::YubiKey {
        firmware: card.firmware,
        reader: card.reader,
        pin: Some(count(card.pin)),
        puk: Some(count(card.puk)),
        default_pin: known(card.default_pin).into(),
        default_puk: known(card.default_puk).into(),
        default_management_key: known(card.default_management_key).into(),
        management_key_protected: card.management_key_protected,
        management_key_algorithm: card.management_key_algorithm.unwrap_or_default().to_owned(),
        slots: slots.into_iter().map(|(info, facts)| slot(info, facts)).collect(),
    }
}

fn slot(info: KeyInfo, facts: SlotFacts) -> v1::Slot {
    let key = key(info, None);
    v1::Slot {
        slot: facts.slot.to_string(),
        name: key.name,
        key_id: key.key_id,
        algorithm: key.algorithm,
        role: key.role,
        gun: key.gun,
        pin_policy: facts.pin.map(|policy| policy.as_str().to_owned()).unwrap_or_default(),
        touch_policy: facts.touch.map(|policy| policy.as_str().to_owned()).unwrap_or_default(),
        origin: facts.origin.map(|origin| origin.as_str().to_owned()).unwrap_or_default(),
        certificate: facts.certificate.unwrap_or_default(),
    }
}

fn count(count: Count) -> v1::Tries {
    v1::Tries { left: count.left.map(u32::from), most: count.most.map(u32::from) }
}

fn known(fact: Option<bool>) -> v1::Known {
    match fact {
        None => v1::Known::Unknown,
        Some(false) => v1::Known::No,
        Some(true) => v1::Known::Yes,
    }
}

fn tries(tries: Tries) -> v1::TriesLeft {
    match tries {
        Tries::Unknown => v1::TriesLeft::Unknown,
        Tries::All => v1::TriesLeft::All,
        Tries::Fewer | Tries::Left(_) => v1::TriesLeft::Fewer,
        Tries::Last => v1::TriesLeft::Last,
        Tries::Blocked => v1::TriesLeft::None,
    }
}

pub(super) fn event(event: Event, is_yubikey: impl Fn(&str) -> bool) -> v1::TokenEvent {
    use v1::token_event::Kind;
    let named = |token: String| {
        let kind = if is_yubikey(&token) { v1::TokenKind::Yubikey } else { v1::TokenKind::Pkcs11 };
        v1::Token { name: token, kind: kind.into(), ..v1::Token::default() }
    };
    let about = |kind: Kind, token: String| v1::TokenEvent {
        kind: kind.into(),
        token: Some(named(token)),
        ..v1::TokenEvent::default()
    };
    match event {
        Event::Inserted { token } => about(Kind::Inserted, token),
        Event::Removed { token } => about(Kind::Removed, token),
        Event::TouchWanted { token, purpose, seconds, perhaps } => v1::TokenEvent {
            gun: purpose.gun,
            role: purpose.role,
            seconds_left: u32::try_from(seconds).unwrap_or(u32::MAX),
            perhaps,
            ..about(Kind::TouchWanted, token)
        },
        Event::TouchEnded { token, purpose } => {
            v1::TokenEvent { gun: purpose.gun, role: purpose.role, ..about(Kind::TouchEnded, token) }
        }
        Event::TriesLeft { token, tries: left } => {
            let counted = |left| v1::YubiKey {
                pin: Some(count(Count { left: Some(left), most: None })),
                ..v1::YubiKey::default()
            };
            let yubikey = if let Tries::Left(left) = left { Some(counted(left)) } else { None };
            let token = v1::Token { tries: tries(left).into(), yubikey, ..named(token) };
            v1::TokenEvent { kind: Kind::TriesLeft.into(), token: Some(token), ..v1::TokenEvent::default() }
        }
    }
}
