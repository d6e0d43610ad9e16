//! The names of things. Every id is checked once, at the boundary; past it a type says that it was.

use std::fmt;
use std::num::NonZeroU16;
use std::ops::Range;

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

    /// The partition of the feed, 0 ≤ partition < `partitions.count`.
    pub fn partition(self, partitions: Partitions) -> u16 {
        let place = u16::from_be_bytes([self.0[0], self.0[1]]);
        match partitions.spread {
            Spread::Ranges => {
                let place = u32::from(place) * u32::from(partitions.count.get());
                u16::try_from(place >> 16).unwrap_or_else(|_| unreachable!("it is below the count"))
            }
            Spread::Remainder => place % partitions.count,
        }
    }
}

/// The partitions of the feed, and which of them an order belongs to. Fixed when a database is
/// created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitions {
    pub count: NonZeroU16,
    pub spread: Spread,
}

/// The spread of orders over partitions, by the first two bytes of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Each partition has a range of the keys. A shard has a range of them too, so an order and its
    /// partition are in one shard wherever the bounds of shards are bounds of partitions.
    Ranges,
    /// By the remainder of a division, in databases that were created before there were ranges. A
    /// shard has orders of every partition.
    Remainder,
}

impl Partitions {
    pub const fn ranges(count: NonZeroU16) -> Self {
        Self {
            count,
            spread: Spread::Ranges,
        }
    }

    /// Reads what [`fmt::Display`] writes: `64 ranges`, or `64` for the remainder of a division.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, spread) = match text.split_once(' ') {
            None => (text, Spread::Remainder),
            Some((count, "ranges")) => (count, Spread::Ranges),
            Some(_) => return None,
        };
        let count = count.parse().ok()?;
        Some(Self { count, spread })
    }

    /// All of them, in their order.
    pub fn all(self) -> Range<u16> {
        0..self.count.get()
    }
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spread {
            Spread::Ranges => write!(f, "{} ranges", self.count),
            Spread::Remainder => write!(f, "{}", self.count),
        }
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
    }

    #[test]
    fn a_partition_of_ranges_has_neighbouring_keys_and_one_of_remainders_has_not() {
        let key = |place: u16| {
            let mut key = [0; 16];
            key[..2].copy_from_slice(&place.to_be_bytes());
            OrderKey(key)
        };
        for (text, expected) in [
            ("64 ranges", [0, 0, 1, 31, 32, 63]),
            ("64", [0, 63, 0, 63, 0, 63]),
            ("3 ranges", [0, 0, 0, 1, 1, 2]),
            ("65535 ranges", [0, 1022, 1023, 32_766, 32_767, 65_534]),
            ("1 ranges", [0; 6]),
        ] {
            let partitions = Partitions::parse(text).unwrap();
            assert_eq!(partitions.to_string(), text);
            let places = [0, 1023, 1024, 0x7fff, 0x8000, 0xffff];
            let found = places.map(|place| key(place).partition(partitions));
            assert_eq!(found, expected, "{text}");
        }
        for odd in [
            "",
            "0",
            "0 ranges",
            "64 rings",
            "65536",
            "64 ranges ",
            " 64",
            "-1",
        ] {
            assert_eq!(Partitions::parse(odd), None, "{odd:?}");
        }
    }
}
