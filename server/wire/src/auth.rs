//! Who calls, how far they see, and which roles may call what. It knows headers, and nothing of
//! what is called; secrets and who has them are the server's.

mod headers;
mod roles;

use belay_domain::actor::Role;
use belay_domain::rejection::FieldViolation;
use belay_domain::scope::Caller;

pub use self::headers::{SetBy, Token, named, token};
pub use self::roles::{is_administration, roles};
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
    /// Of headers that name a caller.
    InvalidHeaders(Vec<FieldViolation>),
}

impl From<AuthError> for CallError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::MethodUnknown => CallError::MethodUnknown,
            AuthError::CallerUnknown => CallError::CallerUnknown,
            AuthError::RoleNotAllowed { role } => CallError::RoleNotAllowed { role },
            AuthError::InvalidHeaders(violations) => CallError::invalid_fields(violations),
        }
    }
}

/// Whether this caller is in one of these roles.
pub fn authorize(roles: &[Role], caller: Caller) -> Result<Caller, AuthError> {
    if roles.contains(&caller.actor.role) {
        Ok(caller)
    } else {
        Err(AuthError::RoleNotAllowed {
            role: caller.actor.role.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Actor;
    use belay_domain::actor::Role::{Auditor, Operator};

    use super::*;

    #[test]
    fn what_has_no_row_is_closed() {
        let may = |path, role| {
            roles(path).and_then(|roles| authorize(roles, Caller::everywhere(Actor::new(role, ""))))
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
