//! Who calls, how far they see, and which roles may call what. It knows headers and secrets, and
//! nothing of what is called.

mod headers;
pub mod key_file;
mod roles;

use std::sync::Arc;

use belay_domain::actor::Role;
use belay_domain::rejection::FieldViolation;
use belay_domain::scope::Caller;
use http::HeaderMap;

use self::headers::SetBy;
use self::key_file::KeyFile;

pub(crate) use self::roles::roles;

/// The way in which callers are authenticated.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Headers are believed; who names no role is the operator. For a machine of one's own.
    Dev,
    /// Headers are believed, because a proxy sets them, and a role must be there.
    TrustedHeaders,
    /// By the secret that a call brings; headers that name a role or a scope count for nothing.
    KeyFile(Arc<KeyFile>),
}

/// Why a call is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthError {
    MethodUnknown,
    /// No token, or none that is known. Which of both is for the log alone.
    CallerUnknown,
    RoleNotAllowed {
        role: String,
    },
    /// Of headers that name a caller.
    InvalidHeaders(Vec<FieldViolation>),
}

/// Authenticates a caller: its actor and its scope.
pub(crate) fn authenticate(
    authentication: &Authentication,
    headers: &HeaderMap,
) -> Result<Caller, AuthError> {
    match authentication {
        Authentication::Dev => headers::named(headers, SetBy::Anybody),
        Authentication::TrustedHeaders => headers::named(headers, SetBy::Proxy),
        Authentication::KeyFile(callers) => {
            let caller = headers::token(headers).and_then(|token| callers.find(token));
            caller.ok_or(AuthError::CallerUnknown)
        }
    }
}

/// Whether this caller is in one of these roles.
pub(crate) fn authorize(roles: &[Role], caller: Caller) -> Result<Caller, AuthError> {
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
    use belay_domain::actor::Role::{Auditor, Operator, Seller, Support};

    use super::*;

    #[test]
    fn a_caller_is_whom_the_headers_name_where_they_are_believed() {
        let headers = |entries: &[(&'static str, &'static str)]| -> HeaderMap {
            entries
                .iter()
                .map(|(name, value)| ((*name).parse().unwrap(), (*value).parse().unwrap()))
                .collect()
        };
        let (nobody, ann) = (
            headers(&[]),
            headers(&[("belay-role", "SUPPORT"), ("belay-actor", "ann")]),
        );
        let of_dev = |headers: &HeaderMap| authenticate(&Authentication::Dev, headers).unwrap();
        assert_eq!(
            of_dev(&nobody),
            Caller::everywhere(Actor::new(Operator, "dev"))
        );
        assert_eq!(of_dev(&ann), Caller::everywhere(Actor::new(Support, "ann")));
        assert_eq!(
            of_dev(&headers(&[("belay-role", "seller")])),
            Caller::everywhere(Actor::new(Seller, ""))
        );
        let of_proxy = |headers: &HeaderMap| authenticate(&Authentication::TrustedHeaders, headers);
        assert!(matches!(
            of_proxy(&nobody),
            Err(AuthError::RoleNotAllowed { .. })
        ));
        assert_eq!(of_proxy(&ann).unwrap(), of_dev(&ann));
    }

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
