//! Actors: who does something, and in which role.

use serde::{Deserialize, Serialize};

use crate::names::named_enum;

named_enum! {
    /// The role in which an actor acts on an order. Callers of the API have one of the first eight;
    /// BUYER is the one on whose behalf a storefront or support acts, SYSTEM is Belay itself when a
    /// deadline passes.
    pub enum Role {
        Storefront = "STOREFRONT",
        Seller = "SELLER",
        Warehouse = "WAREHOUSE",
        Carrier = "CARRIER",
        Payments = "PAYMENTS",
        Support = "SUPPORT",
        Operator = "OPERATOR",
        Auditor = "AUDITOR",
        Buyer = "BUYER",
        System = "SYSTEM",
    }
}

impl Role {
    /// Those in which somebody can call. Buyers and the system are only ever recorded.
    pub const CALLERS: &'static [Role] = &[
        Role::Storefront,
        Role::Seller,
        Role::Warehouse,
        Role::Carrier,
        Role::Payments,
        Role::Support,
        Role::Operator,
        Role::Auditor,
    ];

    /// Whether a caller in this role may act on behalf of a buyer.
    pub fn may_act_on_behalf_of_buyers(self) -> bool {
        matches!(self, Role::Support | Role::Operator)
    }
}

/// An actor: a role, and the id of the one who has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    pub role: Role,
    pub id: String,
}

impl Actor {
    pub fn new(role: Role, id: impl Into<String>) -> Self {
        Self {
            role,
            id: id.into(),
        }
    }

    /// Belay itself, when a deadline passes.
    pub fn system() -> Self {
        Self::new(Role::System, "belay")
    }
}
