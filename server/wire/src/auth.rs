//! The caller of a request: who it is, how far it sees, and what its role may call. This module
//! knows headers, and nothing of what is called; secrets and who has them are the server's.

mod headers;
mod roles;

use belay_domain::actor::Role;
use belay_domain::commands::{Command, Work};
use belay_domain::context::StoreConfig;
use belay_domain::rejection::FieldViolation;
use belay_domain::scope::Caller;

pub use self::headers::{SetBy, Token, named, token};
pub use self::roles::{Access, access, is_administration, paths};
use crate::status::CallError;

/// A reason not to let a call through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    MethodUnknown,
    /// No token, or none that is known. Which of both is for the log alone.
    CallerUnknown,
    RoleNotAllowed {
        role: String,
    },
    /// There is no such role, or none is named.
    RoleUnknown {
        role: String,
    },
    /// Who sees some orders of a store decides nothing about all of them.
    OutOfScope,
    /// Of headers that name a caller.
    InvalidHeaders(Vec<FieldViolation>),
}

impl From<AuthError> for CallError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::MethodUnknown => CallError::MethodUnknown,
            AuthError::CallerUnknown => CallError::CallerUnknown,
            AuthError::RoleNotAllowed { role } => CallError::RoleNotAllowed { role },
            AuthError::RoleUnknown { role } => CallError::RoleUnknown { role },
            AuthError::OutOfScope => CallError::OutOfScope,
            AuthError::InvalidHeaders(violations) => CallError::invalid_fields(violations),
        }
    }
}

/// Whether this caller has what a method asks for, as far as the caller alone tells.
pub fn authorize(access: Access, caller: Caller) -> Result<Caller, AuthError> {
    if !access.roles.contains(&caller.actor.role) {
        return Err(AuthError::RoleNotAllowed {
            role: caller.actor.role.to_string(),
        });
    }
    if access.whole_store && !caller.scope.sees_every_order() {
        return Err(AuthError::OutOfScope);
    }
    Ok(caller)
}

/// Whether the settings of the store let this role do it. Asked before anything is looked up, so
/// that the answer tells nothing of the order.
pub fn check_settings(store: &StoreConfig, role: Role, work: &Work) -> Result<(), AuthError> {
    let is_payment = matches!(work, Work::Decide(Command::RecordPayment(_)));
    if is_payment && role == Role::Storefront && !store.storefront_records_payments {
        return Err(AuthError::RoleNotAllowed {
            role: role.to_string(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Actor;
    use belay_domain::actor::Role::{Auditor, Operator};

    use super::*;

    #[test]
    fn what_has_no_row_is_closed() {
        let may = |path, role| {
            access(path)
                .and_then(|access| authorize(access, Caller::everywhere(Actor::new(role, ""))))
        };
        assert!(may("/belay.v1.OrderService/GetOrder", Auditor).is_ok());
        let create_order = may("/belay.v1.OrderService/CreateOrder", Auditor);
        assert!(matches!(
            create_order,
            Err(AuthError::RoleNotAllowed { .. })
        ));
        assert!(matches!(
            may("/belay.v1.OrderService/DropAll", Operator),
            Err(AuthError::MethodUnknown)
        ));
    }
}
