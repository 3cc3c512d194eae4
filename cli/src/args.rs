//! The command line: Notary's words and flags, and ours.
