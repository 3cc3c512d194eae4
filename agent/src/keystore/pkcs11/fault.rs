//! What return values of PKCS#11 mean to us.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use crate::keystore::Reached;
use crate::keystore::token::Fault;

/// Sorts an error of any function into what can be done about it.
pub(super) fn fault(error: Error) -> Fault {
    let Error::Pkcs11(value, function) = error else {
        return Fault::Refused { what: error.to_string(), reached: Reached::Nothing };
    };
    let what = format!("{} answered {value:?}", c_name(function));
    // C_SignInit only names the key; C_Sign uses it.
    let reached = if matches!(function, Function::Sign) { Reached::Unknown } else { Reached::Nothing };
    #[expect(clippy::wildcard_enum_match_arm, reason = "PKCS#11 has 100 return values; these mean something to us")]
    match value {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized
        | RvError::GeneralError
        // Handles end with the login that they were found in.
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid => Fault::Lost { what, reached },
        RvError::UserNotLoggedIn => Fault::NotLoggedIn,
        RvError::UserAlreadyLoggedIn => Fault::AlreadyLoggedIn,
        // A PIN of a length that no user PIN has was not compared, but sending it again helps nobody.
        RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid => Fault::PinIncorrect,
        RvError::PinLocked => Fault::PinBlocked,
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::CurveNotSupported
        | RvError::KeySizeRange
        | RvError::KeyTypeInconsistent
        | RvError::FunctionNotSupported
        | RvError::TokenWriteProtected => Fault::Unsupported(what),
        _ => Fault::Refused { what, reached },
    }
}

fn c_name(function: Function) -> String {
    format!("C_{function:?}")
}
