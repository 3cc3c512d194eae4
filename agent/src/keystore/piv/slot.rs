//! Slots of the PIV application, and how the keys in them are used.

use std::fmt;
use std::str::FromStr;

use yubikey::piv::{Origin as RawOrigin, SlotId};
use yubikey::{PinPolicy as RawPinPolicy, TouchPolicy as RawTouchPolicy};

/// A slot for a key: 9a, 9c, 9d, 9e, and the "retired" ones 82 to 95 (SP 800-73-4 part 1, table 4b).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PivSlot(u8);

impl PivSlot {
    /// All of them, in the order in which a free one is chosen: first the one that is made for signatures.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [0x9c, 0x9a, 0x9d, 0x9e].into_iter().chain(0x82..=0x95).map(Self)
    }

    /// As the `yubikey` crate names it. It knows all of ours.
    pub(super) fn id(self) -> yubikey::Result<SlotId> {
        SlotId::try_from(self.0)
    }

    /// The byte that names it in commands.
    pub(super) fn byte(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PivSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

/// What a slot cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no slot for a key: 9a, 9c, 9d, 9e, 82 to 95")]
pub struct NoSuchSlot(String);

impl FromStr for PivSlot {
    type Err = NoSuchSlot;

    fn from_str(text: &str) -> Result<Self, NoSuchSlot> {
        let byte = u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 2);
        byte.and_then(|byte| Self::all().find(|slot| slot.0 == byte)).ok_or_else(|| NoSuchSlot(text.to_owned()))
    }
}

/// Words on the wire and in the `yubikey` crate.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $raw:ident: $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    other => Err(format!("{other:?} is not one of: {}", [$($word),+].join(", "))),
                }
            }
        }

        impl From<$raw> for $name {
            fn from(raw: $raw) -> Self {
                match raw {
                    $($raw::$variant => Self::$variant,)+
                }
            }
        }

        impl From<$name> for $raw {
            fn from(ours: $name) -> Self {
                match ours {
                    $($name::$variant => Self::$variant,)+
                }
            }
        }
    };
}

words! {
    /// When a key wants the PIN.
    PinPolicy = RawPinPolicy:
    /// As the slot has it: always for 9c, never for 9e, else once.
    Default = "default",
    /// Not at all.
    Never = "never",
    /// Once after the card was inserted or selected.
    Once = "once",
    /// Right before every signature.
    Always = "always",
}

words! {
    /// When a key wants to be touched.
    TouchPolicy = RawTouchPolicy:
    /// Never, unless the card was set up otherwise.
    Default = "default",
    /// Not at all.
    Never = "never",
    /// For every signature.
    Always = "always",
    /// Unless it was touched less than 15 seconds ago.
    Cached = "cached",
}

words! {
    /// How a key came into its slot.
    Origin = RawOrigin:
    /// From elsewhere.
    Imported = "imported",
    /// It was made there.
    Generated = "generated",
}

/// What a card tells about one of its keys; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotFacts {
    /// Where it is.
    pub slot: PivSlot,
    /// When it wants the PIN.
    pub pin: Option<PinPolicy>,
    /// When it wants to be touched.
    pub touch: Option<TouchPolicy>,
    /// How it came there.
    pub origin: Option<Origin>,
    /// The subject of the slot's certificate.
    pub certificate: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{PivSlot, TouchPolicy};

    #[test]
    fn slots_are_named_as_in_the_standard() {
        for name in ["9a", "9c", "9d", "9e", "82", "95"] {
            assert_eq!(name.parse::<PivSlot>().unwrap().to_string(), name);
        }
        for name in ["", "9", "9b", "f9", "81", "96", "09c", "0x9c", "+9"] {
            assert!(name.parse::<PivSlot>().is_err(), "{name}");
        }
        assert_eq!("9C".parse::<PivSlot>().unwrap().to_string(), "9c");
        assert_eq!(PivSlot::all().count(), 24);
        assert!(PivSlot::all().all(|slot| slot.id().is_ok()));
    }

    #[test]
    fn a_policy_is_a_word() {
        assert_eq!("cached".parse(), Ok(TouchPolicy::Cached));
        assert_eq!(
            "Always".parse::<TouchPolicy>().unwrap_err(),
            r#""Always" is not one of: default, never, always, cached"#
        );
    }
}
