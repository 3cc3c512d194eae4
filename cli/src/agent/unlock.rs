//! Passphrases and PINs for what is locked.
