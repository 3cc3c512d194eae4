//! Finding and starting signet-agent.
