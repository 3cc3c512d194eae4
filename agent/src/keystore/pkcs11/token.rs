//! A token behind a module: found by its label, serial number or URI, wherever it is plugged in.

use std::sync::Arc;

use cryptoki::slot::{Slot, TokenInfo};

use super::fault::fault;
use super::module::{Module, Running};
use super::session::Pkcs11Session;
use crate::config::TokenSelector;
use crate::keystore::Tries;
use crate::keystore::token::{Access, Facts, Fault, Login, Token, Urgency};

/// A configured PKCS#11 token, there or not.
#[derive(Debug, Clone)]
pub(in crate::keystore) struct Pkcs11Token {
    module: Arc<Module>,
    select: TokenSelector,
}

impl Pkcs11Token {
    pub(in crate::keystore) fn new(module: Arc<Module>, select: TokenSelector) -> Self {
        Self { module, select }
    }

    fn find(&self, running: &Running<'_>) -> Result<(Slot, TokenInfo), Fault> {
        let pkcs11 = running.pkcs11()?;
        let mut trouble = None;
        for slot in pkcs11.get_slots_with_token().map_err(fault)? {
            // One broken reader must not hide the token in another.
            let info = match pkcs11.get_token_info(slot) {
                Ok(info) => info,
                Err(error) => {
                    trouble = Some(fault(error));
                    continue;
                }
            };
            if info.token_initialized() && self.is_this(&info) {
                return Ok((slot, info));
            }
        }
        Err(trouble.unwrap_or(Fault::Absent))
    }

    fn is_this(&self, info: &TokenInfo) -> bool {
        self.select.matches(info.label(), info.serial_number(), info.manufacturer_id(), info.model())
    }
}

impl Token for Pkcs11Token {
    type Session = Pkcs11Session;

    const KEEPS_PIN_WHEN_ABSENT: bool = true;

    fn info(&mut self) -> Result<Facts, Fault> {
        let running = self.module.running()?;
        let (_, info) = self.find(&running)?;
        Ok(Facts {
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            model: info.model().to_owned(),
            login: if info.login_required() { Login::Required } else { Login::Needless },
            tries: tries(&info),
            card: None,
        })
    }

    fn open_session(&mut self, access: Access) -> Result<Pkcs11Session, Fault> {
        let running = self.module.running()?;
        let generation = running.generation().ok_or(Fault::Absent)?;
        let (slot, _) = self.find(&running)?;
        let pkcs11 = running.pkcs11()?;
        let mechanisms = pkcs11.get_mechanism_list(slot).map_err(fault)?;
        // Closed by us, and only in the life of the module that opened it.
        let session = match access {
            Access::ReadOnly => pkcs11.open_ro_session_no_drop(slot),
            Access::ReadWrite => pkcs11.open_rw_session_no_drop(slot),
        };
        Ok(Pkcs11Session::new(Arc::clone(&self.module), generation, session.map_err(fault)?, mechanisms))
    }

    fn reset(&mut self, urgency: Urgency) -> Result<(), Fault> {
        self.module.reset(urgency)
    }
}

fn tries(info: &TokenInfo) -> Tries {
    if info.user_pin_locked() {
        Tries::Blocked
    } else if info.user_pin_final_try() {
        Tries::Last
    } else if info.user_pin_count_low() {
        Tries::Fewer
    } else {
        Tries::All
    }
}
