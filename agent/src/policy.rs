//! Who may do what. A workstation's rule: the owner of the agent's process, and nobody else.

use crate::caller::Principal;

/// Policy says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy: {principal} may not use this agent, only its owner {owner} may")]
pub struct Denied {
    /// Who asked.
    pub principal: Principal,
    /// Who may.
    pub owner: Principal,
}

/// Judges a principal.
///
/// # Errors
/// [`Denied`] for everyone but the owner.
pub fn decide(owner: &Principal, principal: &Principal) -> Result<(), Denied> {
    if principal == owner {
        return Ok(());
    }
    Err(Denied { principal: principal.clone(), owner: owner.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_is_served() {
        let (owner, other) = (Principal::from_uid(1000), Principal::from_uid(1001));
        assert_eq!(decide(&owner, &owner), Ok(()));
        assert!(decide(&owner, &other).is_err());
        assert!(decide(&owner, &Principal::from_uid(0)).is_err());
    }
}
