//! The names of things. Every id is checked once, at the boundary; past it a type says that it was.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest id a caller may choose, in bytes (ids are ASCII, so also in characters).
pub const ID_LENGTH_MAX: usize = 64;
/// Longest SKU or provider's id, in bytes.
pub const EXTERNAL_ID_LENGTH_MAX: usize = 128;

/// The error of a text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("must not be empty")]
    Empty,
    #[error("must have at most {max} characters, has {length}")]
    TooLong { max: usize, length: usize },
    #[error("may hold only {allowed}; found {found:?}")]
    Character { allowed: &'static str, found: char },
    #[error("must look like <order_id>:{letter}<number>")]
    Child { letter: char },
}

fn check(
    text: &str,
    max: usize,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong {
            max,
            length: text.len(),
        });
    }
    match text.chars().find(|c| !is_allowed(*c)) {
        Some(found) => Err(IdError::Character { allowed, found }),
        None => Ok(()),
    }
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident: $max:expr, $allowed:literal, $is_allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks length and characters.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check(&text, $max, $allowed, $is_allowed)?;
                Ok(Self(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

fn is_id_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

text_ids! {
    /// A sales channel.
    StoreId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    /// The storefront's order number, unique in its store.
    OrderId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    BuyerId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    SellerId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    WarehouseId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    CarrierId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    /// A payment worker's own name.
    WorkerId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    /// The name under which somebody reads the feed.
    ConsumerId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    /// The key of an entry that an integrator keeps with an order or a cancellation.
    MetadataKey: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    /// Another system that knows an order or a cancellation, such as an ERP.
    SystemId: ID_LENGTH_MAX, "A-Z a-z 0-9 . _ -", is_id_character;
    /// What a unit is, in the seller's words.
    Sku: EXTERNAL_ID_LENGTH_MAX, "printable ASCII without spaces", |c| c.is_ascii_graphic();
    /// An id that a payment provider, a carrier or another system chose.
    ExternalId: EXTERNAL_ID_LENGTH_MAX, "printable ASCII without spaces", |c| c.is_ascii_graphic();
}

/// The kind of a child of an order, and the letter that marks it in an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildKind {
    Line,
    Payment,
    Shipment,
    Cancellation,
    Refund,
    Incident,
    Note,
}

impl ChildKind {
    pub fn letter(self) -> char {
        match self {
            ChildKind::Line => 'l',
            ChildKind::Payment => 'p',
            ChildKind::Shipment => 's',
            ChildKind::Cancellation => 'c',
            ChildKind::Refund => 'r',
            ChildKind::Incident => 'i',
            ChildKind::Note => 'n',
        }
    }

    /// `<order_id>:<letter><number>`.
    pub fn id(self, order: &OrderId, number: u32) -> String {
        format!("{order}:{}{number}", self.letter())
    }

    /// Takes an id of this kind apart. `:` cannot occur in an order id, so the split is certain.
    pub fn parse(self, text: &str) -> Result<(OrderId, u32), IdError> {
        let malformed = || IdError::Child {
            letter: self.letter(),
        };
        let (order, child) = text.split_once(':').ok_or_else(malformed)?;
        let number = child.strip_prefix(self.letter()).ok_or_else(malformed)?;
        let number: u32 = match number.as_bytes() {
            [b'1'..=b'9', rest @ ..] if rest.len() < 9 => {
                number.parse().map_err(|_| malformed())?
            }
            _ => return Err(malformed()),
        };
        Ok((OrderId::parse(order)?, number))
    }
}

/// The key of an order: a hash of its store and id. It leads the primary key of every table that an
/// order owns, so that whatever is done to one order touches one place of a sharded database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub [u8; 16]);

impl OrderKey {
    pub fn of(store: &StoreId, order: &OrderId) -> Self {
        // `/` is in neither id, so no two pairs share one text.
        let hash = blake3::hash(format!("{store}/{order}").as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        Self(key)
    }

    /// The partition of the feed, 0 ≤ partition < `partitions`.
    pub fn partition(self, partitions: u16) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) % partitions
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_to_sixty_four_plain_characters() {
        assert!(OrderId::parse("A-1_b.c").is_ok());
        assert_eq!(OrderId::parse(""), Err(IdError::Empty));
        assert!(OrderId::parse("x".repeat(64)).is_ok());
        assert_eq!(
            OrderId::parse("x".repeat(65)),
            Err(IdError::TooLong {
                max: 64,
                length: 65
            })
        );
        for odd in ["a b", "a:b", "a/b", "é", "a\0", "a\n", "'; --"] {
            assert!(
                matches!(OrderId::parse(odd), Err(IdError::Character { .. })),
                "{odd:?}"
            );
        }
    }

    #[test]
    fn a_child_id_names_its_order_and_comes_back() {
        let order = OrderId::parse("A-1").unwrap();
        let id = ChildKind::Shipment.id(&order, 12);
        assert_eq!(id, "A-1:s12");
        assert_eq!(ChildKind::Shipment.parse(&id), Ok((order, 12)));
        for odd in [
            "A-1",
            "A-1:c1",
            "A-1:s",
            "A-1:s0",
            "A-1:s01",
            "A-1:s-1",
            "A-1:s1x",
            ":s1",
            "A-1:s9999999999",
        ] {
            assert!(ChildKind::Shipment.parse(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_key_tells_stores_apart() {
        let (a, b) = (StoreId::parse("a").unwrap(), StoreId::parse("b").unwrap());
        let order = OrderId::parse("1").unwrap();
        assert_ne!(OrderKey::of(&a, &order), OrderKey::of(&b, &order));
        assert!(OrderKey::of(&a, &order).partition(64) < 64);
    }
}
