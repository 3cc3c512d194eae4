//! What the `yubikey` crate and PC/SC say, in the words of a token.

use pcsc::Error as Pcsc;
use yubikey::Error;

use crate::keystore::Reached;
use crate::keystore::token::Fault;

/// A fault before a private key was asked for anything.
pub(super) fn fault(error: Error) -> Fault {
    fault_after(error, Reached::Nothing)
}

/// A fault; `reached` says whether a private key may have been used if the connection broke.
pub(super) fn fault_after(error: Error, reached: Reached) -> Fault {
    let refused = |what: String| Fault::Refused { what, reached: Reached::Nothing };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the crate has 18 errors, and may have more; these mean something"
    )]
    match error {
        Error::PcscError { inner: Some(error) } => of_pcsc(error, reached),
        Error::WrongPin { tries: 0 } | Error::PinLocked => Fault::PinBlocked,
        Error::WrongPin { .. } => Fault::PinIncorrect,
        Error::NotSupported => Fault::Unsupported("this: its firmware is too old, or it is switched off".to_owned()),
        Error::AuthenticationError => Fault::NotLoggedIn,
        // What it answered was no answer to what it was asked.
        Error::ParseError | Error::InvalidObject | Error::SizeError => {
            Fault::Refused { what: format!("its answer makes no sense ({error})"), reached }
        }
        Error::GenericError => refused("it answered with an error".to_owned()),
        // The reader is gone with it.
        Error::NotFound if reached == Reached::Nothing => Fault::Absent,
        other => refused(other.to_string()),
    }
}

fn of_pcsc(error: Pcsc, reached: Reached) -> Fault {
    let lost = |what: String| Fault::Lost { what, reached };
    #[expect(clippy::wildcard_enum_match_arm, reason = "PC/SC has 60 errors; these mean something to us")]
    match error {
        Pcsc::SharingViolation => Fault::Lost {
            what: "another program has it for itself (gpg-agent's scdaemon? then set disable-ccid and pcsc-shared)"
                .to_owned(),
            reached: Reached::Nothing,
        },
        // Told when a transaction begins or the card is opened while somebody resets it, before anything is sent.
        Pcsc::ResetCard | Pcsc::ProtoMismatch => Fault::Lost { what: IN_USE.to_owned(), reached: Reached::Nothing },
        Pcsc::SecurityViolation => Fault::Refused { what: NO_PERMISSION.to_owned(), reached: Reached::Nothing },
        Pcsc::NoService | Pcsc::ServiceStopped => lost(NO_SERVICE.to_owned()),
        // It went, and nobody has noticed yet.
        Pcsc::NoSmartcard
        | Pcsc::RemovedCard
        | Pcsc::UnknownReader
        | Pcsc::ReaderUnavailable
        | Pcsc::NoReadersAvailable
            if reached == Reached::Nothing =>
        {
            Fault::Absent
        }
        other => lost(format!("PC/SC: {other}")),
    }
}

/// Between two of our requests somebody else selected another application, or reset the card when it had finished.
pub(super) const IN_USE: &str = "another program used it at the same moment";

/// pcscd is not there.
pub(super) const NO_SERVICE: &str =
    "pcscd does not answer: install it (Debian: apt install pcscd) and start it (systemctl start pcscd.socket)";

/// pcscd is there, and polkit says no.
pub(super) const NO_PERMISSION: &str = "pcscd does not let you use its readers: allow org.debian.pcsc-lite.access_pcsc and access_card in a polkit rule, or log in at the machine";

/// Why no reader can be asked at all.
pub(super) fn trouble(error: Pcsc) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "PC/SC has 60 errors; these have a remedy")]
    match error {
        Pcsc::NoService | Pcsc::ServiceStopped => NO_SERVICE.to_owned(),
        Pcsc::SecurityViolation => NO_PERMISSION.to_owned(),
        other => format!("PC/SC: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use pcsc::Error as Pcsc;
    use yubikey::Error;

    use super::{fault, fault_after, trouble};
    use crate::keystore::Reached;
    use crate::keystore::token::Fault;

    #[test]
    fn a_broken_connection_may_have_signed_and_an_answer_has_not() {
        let pulled = Error::PcscError { inner: Some(Pcsc::NotTransacted) };
        assert_eq!(fault_after(pulled, Reached::Unknown).reached(), Reached::Unknown);
        assert!(fault(pulled).heals());
        let reset = Error::PcscError { inner: Some(Pcsc::ResetCard) };
        assert_eq!(fault_after(reset, Reached::Unknown).reached(), Reached::Nothing);
        assert!(fault(reset).heals());
        assert_eq!(fault_after(Error::GenericError, Reached::Unknown).reached(), Reached::Nothing);
        assert_eq!(fault_after(Error::ParseError, Reached::Unknown).reached(), Reached::Unknown);
        assert_eq!(fault(Error::WrongPin { tries: 0 }), Fault::PinBlocked);
        assert_eq!(fault(Error::WrongPin { tries: 2 }), Fault::PinIncorrect);
    }

    #[test]
    fn who_may_not_use_a_reader_learns_what_to_change() {
        assert!(trouble(Pcsc::NoService).contains("apt install pcscd"));
        assert!(trouble(Pcsc::SecurityViolation).contains("polkit"));
        let denied = fault(Error::PcscError { inner: Some(Pcsc::SecurityViolation) });
        assert!(denied.describe().contains("polkit") && !denied.heals());
    }
}
