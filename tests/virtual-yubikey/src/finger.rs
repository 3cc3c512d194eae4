//! The finger of the person who owns the YubiKey.

/// What happened while the YubiKey blinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    Touched,
    TimedOut,
    /// The YubiKey was pulled meanwhile.
    Pulled,
}

/// Whom a command asks for a touch.
pub(crate) trait Finger {
    /// Blinks until something happens.
    fn touch(&mut self) -> Touch;
}
