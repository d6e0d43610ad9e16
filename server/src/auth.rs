//! Who calls and how far they see: by headers that are believed, or by a secret. Which roles may call
//! what is in `belay_wire::auth`.

pub mod key_file;
pub mod peer;
pub mod proxy;

use std::sync::Arc;

use belay_domain::scope::Caller;
use belay_wire::auth::{AuthError, SetBy, named, token};
use http::HeaderMap;

use self::key_file::KeyFile;
use self::peer::Peer;
use self::proxy::Proxy;

/// The way in which callers are authenticated.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Headers are believed; who names no role is the operator. For a machine of one's own.
    Dev,
    /// Headers are believed, because a proxy sets them, and a role must be there.
    TrustedHeaders,
    /// The same, of calls that the proxy proves to have sent.
    Proxy(Arc<Proxy>),
    /// By the secret that a call brings; headers that name a role or a scope count for nothing.
    KeyFile(Arc<KeyFile>),
}

/// Authenticates a caller: its actor and its scope.
pub(crate) fn authenticate(
    authentication: &Authentication,
    headers: &HeaderMap,
    peer: Option<&Peer>,
) -> Result<Caller, AuthError> {
    match authentication {
        Authentication::Dev => named(headers, SetBy::Anybody),
        Authentication::TrustedHeaders => named(headers, SetBy::Proxy),
        Authentication::Proxy(proxy) if proxy.sent(headers, peer) => named(headers, SetBy::Proxy),
        Authentication::Proxy(_) => Err(AuthError::CallerUnknown),
        Authentication::KeyFile(callers) => {
            let caller = token(headers).and_then(|token| callers.find(token));
            caller.ok_or(AuthError::CallerUnknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Actor;
    use belay_domain::actor::Role::{Operator, Seller, Support};

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
        let of_dev =
            |headers: &HeaderMap| authenticate(&Authentication::Dev, headers, None).unwrap();
        assert_eq!(
            of_dev(&nobody),
            Caller::everywhere(Actor::new(Operator, "dev"))
        );
        assert_eq!(of_dev(&ann), Caller::everywhere(Actor::new(Support, "ann")));
        assert_eq!(
            of_dev(&headers(&[("belay-role", "seller")])),
            Caller::everywhere(Actor::new(Seller, ""))
        );
        let of_proxy =
            |headers: &HeaderMap| authenticate(&Authentication::TrustedHeaders, headers, None);
        assert!(matches!(
            of_proxy(&nobody),
            Err(AuthError::RoleNotAllowed { .. })
        ));
        assert_eq!(of_proxy(&ann).unwrap(), of_dev(&ann));
    }
}
