//! Messages as what the agent works with.

use signet_proto::v1;
use tonic::Status;

use super::status;
use crate::{
    keystore::{CardSetup, PivOptions},
    secret::Secret,
};

pub(super) fn piv_options(options: v1::PivOptions) -> Result<PivOptions, Status> {
    let v1::PivOptions { slot, pin_policy, touch_policy, management_key, overwrite } = options;
    let management_key = Secret::from(management_key);
    Ok(PivOptions {
        slot: optional("slot", &slot)?,
        pin: optional("pin_policy", &pin_policy)?,
        touch: optional("touch_policy", &touch_policy)?,
        management_key: (!management_key.is_empty()).then_some(management_key),
        overwrite,
    })
}

pub(super) fn card_setup(asked: v1::SetupTokenRequest) -> Result<CardSetup, Status> {
    use super::keys::secret;
    Ok(CardSetup {
        pin: secret("pin", asked.pin)?,
        puk: secret("puk", asked.puk)?,
        management_key: secret("management_key", asked.management_key)?,
        new_pin: secret("new_pin", asked.new_pin)?,
        new_puk: secret("new_puk", asked.new_puk)?,
        protect_management_key: asked.protect_management_key,
        factory: asked.factory,
        leave_defaults: asked.leave_defaults,
    })
}

/// An empty word means none.
fn optional<T>(field: &str, word: &str) -> Result<Option<T>, Status>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    if word.is_empty() {
        return Ok(None);
    }
    word.parse().map(Some).map_err(|error| status::bad_request(field, error))
}
