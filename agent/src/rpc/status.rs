//! The one map from our errors to gRPC.

use std::{collections::HashMap, fmt::Display};

use signet_proto::{DOMAIN, Reason, v1};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{policy::Denied, sign::SignError};

/// An error with its reason and data.
pub(super) fn status(error: impl Into<SignError>) -> Status {
    let error = error.into();
    let reason = error.reason();
    if reason == Reason::Internal {
        tracing::error!(%error, "internal fault");
    }
    make(reason, error.to_string(), error.metadata())
}

/// A field of a request that is wrong.
pub(super) fn bad_request(field: &str, why: impl Display) -> Status {
    status(SignError::BadRequest(format!("{field}: {why}")))
}

/// The same inside a stream.
pub(super) fn refusal(error: &SignError) -> v1::Refusal {
    v1::Refusal { reason: error.reason().to_string(), message: error.to_string(), metadata: owned(error.metadata()) }
}

/// No identity at the other end.
pub(super) fn unknown_caller() -> Status {
    make(Reason::UnknownCaller, "the kernel does not say who is calling".to_owned(), Vec::new())
}

/// Policy's no.
pub(super) fn denied(denied: &Denied) -> Status {
    make(Reason::DeniedByPolicy, denied.to_string(), Vec::new())
}

fn make(reason: Reason, message: String, metadata: Vec<(&'static str, String)>) -> Status {
    let details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, owned(metadata));
    Status::with_error_details(code(reason), message, details)
}

fn owned(metadata: Vec<(&'static str, String)>) -> HashMap<String, String> {
    metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn code(reason: Reason) -> Code {
    match reason {
        Reason::UnknownCaller => Code::Unauthenticated,
        Reason::DeniedByPolicy => Code::PermissionDenied,
        Reason::MalformedMetadata | Reason::RequestTooLarge | Reason::EvidenceRejected | Reason::NotSupported => {
            Code::InvalidArgument
        }
        Reason::UnknownKey => Code::NotFound,
        Reason::VersionConflict => Code::AlreadyExists,
        Reason::ApprovalsMissing
        | Reason::VersionRollback
        | Reason::VersionJump
        | Reason::EvidenceMissing
        | Reason::KeyNotListed
        | Reason::NeedsAcknowledgement
        | Reason::KeyLocked
        | Reason::SecretIncorrect
        | Reason::LastPinTry
        | Reason::PinBlocked
        | Reason::PukBlocked
        | Reason::ManagementKey
        | Reason::SlotOccupied
        | Reason::FactorySecret
        | Reason::NotAttested
        | Reason::UnsafePath
        | Reason::CorruptKey => Code::FailedPrecondition,
        Reason::TokenAbsent | Reason::TokenFailed | Reason::LedgerUnavailable => Code::Unavailable,
        Reason::TouchTimeout => Code::DeadlineExceeded,
        Reason::Busy => Code::ResourceExhausted,
        Reason::Internal => Code::Internal,
    }
}
