//! The caller as the headers of a call name it, where they are trusted. What they say is taken
//! whole or not at all: a limit that cannot be read is a fault, never no limit.

use std::collections::BTreeSet;

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::{CarrierId, IdError, SellerId, StoreId, WarehouseId, WorkerId};
use belay_domain::rejection::FieldViolation;
use belay_domain::scope::{Caller, IdFilter, SCOPE_IDS_MAX, Scope};
use http::HeaderMap;

use super::AuthError;

const ROLE: &str = "belay-role";
const ACTOR: &str = "belay-actor";
const STORES: &str = "belay-stores";
const SELLERS: &str = "belay-sellers";
const WAREHOUSES: &str = "belay-warehouses";
const CARRIERS: &str = "belay-carriers";
const AUTHORIZATION: &str = "authorization";
/// The scheme of a token, in any case.
const BEARER: &str = "bearer ";
/// Characters of what is no role that are echoed.
const ECHO_CHARS_MAX: usize = 32;

/// The party that sets the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetBy {
    /// A person who tries things out: the operator, unless they say otherwise; and a seller, a
    /// warehouse or a carrier that does not say which sees the business of all.
    Anybody,
    /// A proxy that knows who calls.
    Proxy,
}

/// The caller that the headers name.
pub fn named(headers: &HeaderMap, set_by: SetBy) -> Result<Caller, AuthError> {
    let mut reader = HeaderReader {
        headers,
        violations: Vec::new(),
    };
    let (role, unnamed) = match (reader.text(ROLE), set_by) {
        (Some(text), SetBy::Anybody | SetBy::Proxy) => (role_named(text)?, ""),
        (None, SetBy::Anybody) => (Role::Operator, "dev"),
        (None, SetBy::Proxy) => {
            return Err(AuthError::RoleUnknown {
                role: String::new(),
            });
        }
    };
    let actor = reader.id(ACTOR, WorkerId::parse);
    let mut scope = Scope {
        stores: reader.within(STORES, StoreId::parse),
        sellers: reader.within(SELLERS, SellerId::parse),
        warehouses: reader.within(WAREHOUSES, WarehouseId::parse),
        carriers: reader.within(CARRIERS, CarrierId::parse),
    };
    let id = actor.map_or_else(|| unnamed.to_owned(), |id| id.to_string());
    if !sees_own_business(role, &id, &mut scope) && set_by == SetBy::Proxy {
        reader.violate(
            ACTOR,
            format!("is required of the role {role}, or the header that says what it may see"),
        );
    }
    if !reader.violations.is_empty() {
        return Err(AuthError::InvalidHeaders(reader.violations));
    }
    let actor = Actor::new(role, id);
    Ok(Caller { actor, scope })
}

/// The token that a call brings in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    None,
    /// Another scheme, nothing behind it, or the header twice: of two tokens neither is believed.
    Malformed,
    Bearer(&'a str),
}

/// The token of a call.
pub fn token(headers: &HeaderMap) -> Token<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Token::None;
    };
    let bearer = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_at_checked(BEARER.len())?;
        scheme
            .eq_ignore_ascii_case(BEARER)
            .then_some(token.trim_start())
    });
    match bearer {
        Some(token) if values.next().is_none() => Token::Bearer(token),
        Some(_) | None => Token::Malformed,
    }
}

fn role_named(text: &str) -> Result<Role, AuthError> {
    let name = text.to_ascii_uppercase();
    let role = Role::CALLERS
        .iter()
        .copied()
        .find(|role| role.name() == name);
    role.ok_or_else(|| AuthError::RoleUnknown {
        role: text.chars().take(ECHO_CHARS_MAX).collect(),
    })
}

/// Narrows a seller, a warehouse or a carrier to what is its own, where nothing else is said. False
/// where it says neither what it sees nor who it is.
fn sees_own_business(role: Role, id: &str, scope: &mut Scope) -> bool {
    fn own<T: Ord>(
        within: &mut IdFilter<T>,
        id: &str,
        parse: fn(String) -> Result<T, IdError>,
    ) -> bool {
        if *within == IdFilter::All
            && let Ok(id) = parse(id.to_owned())
        {
            *within = IdFilter::Only(BTreeSet::from([id]));
        }
        *within != IdFilter::All
    }
    match role {
        Role::Seller => own(&mut scope.sellers, id, SellerId::parse),
        Role::Warehouse => own(&mut scope.warehouses, id, WarehouseId::parse),
        Role::Carrier => own(&mut scope.carriers, id, CarrierId::parse),
        Role::Storefront
        | Role::Payments
        | Role::Support
        | Role::Operator
        | Role::Auditor
        | Role::Buyer
        | Role::System => true,
    }
}

/// A reader of headers that goes on after a fault.
struct HeaderReader<'a> {
    headers: &'a HeaderMap,
    violations: Vec<FieldViolation>,
}

impl<'a> HeaderReader<'a> {
    fn violate(&mut self, header: &str, description: impl Into<String>) {
        self.violations.push(FieldViolation {
            field: header.to_owned(),
            description: description.into(),
        });
    }

    /// What stands in a header. One that stands there twice may be the proxy's and the caller's
    /// own: neither is believed.
    fn text(&mut self, header: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(header).iter();
        let value = values.next()?;
        if values.next().is_some() {
            self.violate(header, "must stand here once");
        }
        // What is no ASCII is no id and no role either.
        Some(value.to_str().unwrap_or("\0"))
    }

    fn id<T>(&mut self, header: &str, parse: fn(String) -> Result<T, IdError>) -> Option<T> {
        let text = self.text(header)?;
        parse(text.to_owned())
            .map_err(|error| self.violate(header, error.to_string()))
            .ok()
    }

    /// A list of ids, separated by commas.
    fn within<T: Ord>(
        &mut self,
        header: &str,
        parse: fn(String) -> Result<T, IdError>,
    ) -> IdFilter<T> {
        let Some(text) = self.text(header) else {
            return IdFilter::All;
        };
        let count = text.split(',').count();
        if count > SCOPE_IDS_MAX {
            self.violate(
                header,
                format!("may name at most {SCOPE_IDS_MAX} ids, names {count}"),
            );
            return IdFilter::Only(BTreeSet::new());
        }
        let mut ids = BTreeSet::new();
        for id in text.split(',') {
            match parse(id.trim().to_owned()) {
                Ok(id) => {
                    ids.insert(id);
                }
                Err(error) => self.violate(header, error.to_string()),
            }
        }
        IdFilter::Only(ids)
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::ids::OrderId;

    use super::*;
    use crate::status::CallError;

    fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn caller(entries: &[(&'static str, &str)]) -> Caller {
        named(&headers(entries), SetBy::Proxy).unwrap()
    }

    /// Which headers are at fault.
    fn faults(entries: &[(&'static str, &str)]) -> Vec<String> {
        match named(&headers(entries), SetBy::Proxy) {
            Err(AuthError::InvalidHeaders(violations)) => violations
                .into_iter()
                .map(|violation| violation.field)
                .collect(),
            other => panic!("{entries:?}: {other:?}"),
        }
    }

    fn only<T: Ord>(parse: fn(String) -> Result<T, IdError>, ids: &[&str]) -> IdFilter<T> {
        IdFilter::Only(
            ids.iter()
                .map(|id| parse((*id).to_owned()).unwrap())
                .collect(),
        )
    }

    #[test]
    fn a_scope_is_what_its_headers_name() {
        let support = [(ROLE, "SUPPORT"), (ACTOR, "ann")];
        assert_eq!(
            caller(&support),
            Caller::everywhere(Actor::new(Role::Support, "ann"))
        );
        let narrow = [
            (ROLE, "support"),
            (STORES, "demo,shop"),
            (SELLERS, "acme"),
            (WAREHOUSES, "a , b"),
            (CARRIERS, "c"),
        ];
        let scope = Scope {
            stores: only(StoreId::parse, &["demo", "shop"]),
            sellers: only(SellerId::parse, &["acme"]),
            warehouses: only(WarehouseId::parse, &["a", "b"]),
            carriers: only(CarrierId::parse, &["c"]),
        };
        assert_eq!(
            caller(&narrow),
            Caller {
                actor: Actor::new(Role::Support, ""),
                scope
            }
        );
        let nobody = headers(&[(STORES, "demo")]);
        assert!(matches!(
            named(&nobody, SetBy::Proxy),
            Err(AuthError::RoleUnknown { .. })
        ));
        let scope = Scope {
            stores: only(StoreId::parse, &["demo"]),
            ..Scope::EVERYTHING
        };
        assert_eq!(
            named(&nobody, SetBy::Anybody).unwrap(),
            Caller {
                actor: Actor::new(Role::Operator, "dev"),
                scope
            }
        );
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_and_never_everything() {
        for header in [STORES, SELLERS, WAREHOUSES, CARRIERS] {
            for odd in ["", " ", ",", "a,", "a,,b", "a b", "a;b", "*", "a/b"] {
                let found = faults(&[(ROLE, "OPERATOR"), (header, odd)]);
                assert!(
                    found.iter().all(|field| field == header),
                    "{header}: {odd:?}: {found:?}"
                );
                // Also where nobody says a role and `dev` takes the operator for granted.
                assert!(
                    named(&headers(&[(header, odd)]), SetBy::Anybody).is_err(),
                    "{header}: {odd:?}"
                );
            }
            assert_eq!(
                faults(&[(ROLE, "OPERATOR"), (header, "a"), (header, "b")]),
                [header]
            );
            let many = |count| {
                (0..count)
                    .map(|id| id.to_string())
                    .collect::<Vec<_>>()
                    .join(",")
            };
            caller(&[(ROLE, "OPERATOR"), (header, &many(SCOPE_IDS_MAX))]);
            assert_eq!(
                faults(&[(ROLE, "OPERATOR"), (header, &many(SCOPE_IDS_MAX + 1))]),
                [header]
            );
        }
        assert_eq!(faults(&[(ROLE, "OPERATOR"), (ROLE, "AUDITOR")]), [ROLE]);
        assert_eq!(
            faults(&[(ROLE, "OPERATOR"), (ACTOR, "a"), (ACTOR, "b")]),
            [ACTOR]
        );
        assert_eq!(
            faults(&[(ROLE, "SUPPORT"), (ACTOR, "a/b"), (STORES, "")]),
            [ACTOR, STORES]
        );
    }

    #[test]
    fn who_sells_packs_or_carries_sees_its_own_unless_more_is_said() {
        let seller = caller(&[(ROLE, "SELLER"), (ACTOR, "acme")]);
        assert_eq!(
            seller.scope,
            Scope {
                sellers: only(SellerId::parse, &["acme"]),
                ..Scope::EVERYTHING
            }
        );
        let warehouse = caller(&[(ROLE, "WAREHOUSE"), (ACTOR, "main")]);
        assert_eq!(
            warehouse.scope,
            Scope {
                warehouses: only(WarehouseId::parse, &["main"]),
                ..Scope::EVERYTHING
            }
        );
        let carrier = caller(&[(ROLE, "CARRIER"), (ACTOR, "dove")]);
        assert_eq!(
            carrier.scope,
            Scope {
                carriers: only(CarrierId::parse, &["dove"]),
                ..Scope::EVERYTHING
            }
        );

        let desk = caller(&[(ROLE, "SELLER"), (ACTOR, "desk-7"), (SELLERS, "acme,emca")]);
        assert_eq!(desk.scope.sellers, only(SellerId::parse, &["acme", "emca"]));
        caller(&[(ROLE, "SELLER"), (SELLERS, "acme")]);
        for (role, other) in [
            ("SELLER", WAREHOUSES),
            ("WAREHOUSE", CARRIERS),
            ("CARRIER", SELLERS),
        ] {
            assert_eq!(faults(&[(ROLE, role)]), [ACTOR]);
            assert_eq!(faults(&[(ROLE, role), (other, "x")]), [ACTOR]);
            let trying = named(&headers(&[(ROLE, role)]), SetBy::Anybody).unwrap();
            assert_eq!(trying.scope, Scope::EVERYTHING);
        }
    }

    #[test]
    fn nobody_calls_in_a_role_that_is_only_recorded() {
        for role in ["BUYER", "SYSTEM", "ROOT", "", "é"] {
            let refused = named(&headers(&[(ROLE, role)]), SetBy::Anybody);
            assert!(
                matches!(refused, Err(AuthError::RoleUnknown { .. })),
                "{role}"
            );
            let told = CallError::from(refused.unwrap_err()).to_string();
            let roles = "; roles are STOREFRONT, SELLER, WAREHOUSE, CARRIER, PAYMENTS, SUPPORT, OPERATOR, AUDITOR";
            assert!(told.ends_with(roles), "{told}");
            assert!(told.contains(role) || role == "é", "{told}");
        }
        assert!(OrderId::parse("\0").is_err(), "what is no ASCII is no id");
    }

    #[test]
    fn a_token_stands_behind_its_scheme_and_once() {
        let of = |value: &str| headers(&[("authorization", value)]);
        for good in ["Bearer abc", "bearer  abc"] {
            assert_eq!(token(&of(good)), Token::Bearer("abc"));
        }
        for odd in ["abc", "Basic abc", "Bearer", "", "Bearerabc"] {
            assert_eq!(token(&of(odd)), Token::Malformed, "{odd:?}");
        }
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer a")];
        assert_eq!(token(&headers(&twice)), Token::Malformed);
        assert_eq!(token(&headers(&[])), Token::None);
    }
}
