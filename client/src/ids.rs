//! Ids, checked when they are made.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The longest id that a caller may choose, in characters.
pub const ID_LENGTH_MAX: usize = 64;

/// The reason why a text is not a valid id.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It is longer than [`ID_LENGTH_MAX`].
    #[error("must have at most {ID_LENGTH_MAX} characters, has {length}")]
    TooLong {
        /// Its length, in bytes.
        length: usize,
    },
    /// It has a character other than letters, digits, `.`, `_` and `-`.
    #[error("may hold only A-Z a-z 0-9 . _ -, found {found:?}")]
    Character {
        /// The first such character.
        found: char,
    },
    /// It is not the id of an object of an order.
    #[error("must look like <order_id>:{letter}<number>")]
    Child {
        /// The letter that marks the kind: `l` line, `p` payment, `s` shipment, `c` cancellation,
        /// `r` refund, `i` incident, `n` note.
        letter: char,
    },
    /// It is not a UUID.
    #[error("must be a UUID")]
    Uuid,
}

impl From<Infallible> for IdError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// An argument that is an id: the id itself, a reference to it, or a text that is checked before
/// anything is sent.
///
/// With an invalid text the call fails with
/// [`Kind::InvalidArgument`](crate::Kind::InvalidArgument), as it would on the server.
pub trait IntoId<T> {
    /// The id, or the reason why the text is invalid.
    fn into_id(self) -> Result<T, IdError>;
}

impl<T, I> IntoId<T> for I
where
    I: TryInto<T>,
    I::Error: Into<IdError>,
{
    fn into_id(self) -> Result<T, IdError> {
        self.try_into().map_err(Into::into)
    }
}

fn check_chosen(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_LENGTH_MAX {
        return Err(IdError::TooLong { length: text.len() });
    }
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    text.chars()
        .find(odd)
        .map_or(Ok(()), |found| Err(IdError::Character { found }))
}

fn check_child(text: &str, letter: char) -> Result<(), IdError> {
    // `:` cannot occur in an order id, so the split is certain.
    let (order, child) = text.split_once(':').ok_or(IdError::Child { letter })?;
    let number = child
        .strip_prefix(letter)
        .ok_or(IdError::Child { letter })?;
    match number.as_bytes() {
        [b'1'..=b'9', rest @ ..] if rest.len() < 9 && rest.iter().all(u8::is_ascii_digit) => {
            check_chosen(order)
        }
        _ => Err(IdError::Child { letter }),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks length and characters.
            ///
            /// # Errors
            /// [`IdError`] says what is wrong with the text.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                let check: fn(&str) -> Result<(), IdError> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The id without a check, for ids that were checked elsewhere. The server checks every
            /// id again.
            pub fn unchecked(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        /// Checked as by [`parse`](Self::parse).
        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(text).map_err(serde::de::Error::custom)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;

            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = IdError;

            fn try_from(text: &String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> Self {
                id.clone()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

macro_rules! chosen_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        text_id! {
            $(#[$doc])*
            ///
            /// `[A-Za-z0-9._-]{1,64}`.
            $name, check_chosen
        }
    )*};
}

macro_rules! child_ids {
    ($($(#[$doc:meta])* $name:ident: $letter:literal;)*) => {$(
        text_id! {
            $(#[$doc])*
            #[doc = concat!("\n`<order_id>:", $letter, "<number>`, numbered from 1.")]
            $name, |text| check_child(text, $letter)
        }

        impl $name {
            /// The id of the order that it belongs to.
            pub fn order_id(&self) -> OrderId {
                let order = self.0.split_once(':').map_or(self.0.as_str(), |(order, _)| order);
                OrderId(order.to_owned())
            }
        }
    )*};
}

chosen_ids! {
    /// A sales channel.
    StoreId;
    /// The storefront's order number, unique in its store.
    OrderId;
    /// A buyer, by the storefront's id.
    BuyerId;
    /// A seller, who sells and ships.
    SellerId;
    /// A warehouse, unique in the store.
    WarehouseId;
    /// A carrier, unique in the store.
    CarrierId;
    /// A payment worker, by the name it gives itself.
    WorkerId;
    /// A reader of the feed, by the name it gives itself.
    ConsumerId;
}

child_ids! {
    /// A line of an order.
    LineId: 'l';
    /// A payment of an order.
    PaymentId: 'p';
    /// A shipment of an order.
    ShipmentId: 's';
    /// A cancellation of units of an order.
    CancellationId: 'c';
    /// A refund of an order.
    RefundId: 'r';
    /// An incident of an order: a fact that contradicts a decision.
    IncidentId: 'i';
    /// A note on an order.
    NoteId: 'n';
}

text_id! {
    /// A bulk cancellation, unique in its store: the request id that it was started with.
    ///
    /// A UUID.
    BulkCancellationId, |text| RequestId::parse(text).map(|_| ())
}

/// The idempotency key of one write, a UUID. However often a write is sent with it, it has one
/// effect, and the same response each time.
///
/// Every write to an order has one from the start, a new one unless the caller sets it, and keeps
/// it over its repeats. Set it if the write must survive the end of the process: store it with the
/// write, and send the same again.
///
/// ```
/// use belay_client::RequestId;
///
/// let request_id = RequestId::mint();
/// assert_eq!(RequestId::parse(&request_id.to_string())?, request_id);
/// # Ok::<(), belay_client::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new, random request id (UUID version 4).
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the client mints"
    )]
    pub fn mint() -> Self {
        Self(Uuid::new_v4())
    }

    /// The request id of these 128 bits, such as those of a UUID that the program has.
    pub fn from_u128(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }

    /// Parses a request id that was stored.
    ///
    /// # Errors
    /// [`IdError::Uuid`] if the text is not a UUID.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError::Uuid)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for RequestId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// With the feature `raw`, which binds its user to this crate's version of `uuid`.
#[cfg(feature = "raw")]
impl From<Uuid> for RequestId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for RequestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

/// The version of an order, store, carrier or warehouse. It is opaque. A write that is given an
/// etag succeeds only if nothing has changed since it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Etag(String);

impl Etag {
    /// The etag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Etag> for Etag {
    fn from(etag: &Etag) -> Self {
        etag.clone()
    }
}

impl From<String> for Etag {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Etag {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Etag> for String {
    fn from(etag: Etag) -> Self {
        etag.0
    }
}

/// A point of the feed behind which everything is still to be read. It works with the filter that
/// it was given out for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ResumeToken(String);

impl ResumeToken {
    /// The token as text, to be stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&ResumeToken> for ResumeToken {
    fn from(token: &ResumeToken) -> Self {
        token.clone()
    }
}

impl From<String> for ResumeToken {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ResumeToken {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<ResumeToken> for String {
    fn from(token: ResumeToken) -> Self {
        token.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_id_is_one_to_sixty_four_plain_characters() {
        assert!(OrderId::parse("A-1_b.c").is_ok());
        assert!(OrderId::parse("x".repeat(64)).is_ok());
        assert_eq!(OrderId::parse(""), Err(IdError::Empty));
        assert_eq!(
            OrderId::parse("x".repeat(65)),
            Err(IdError::TooLong { length: 65 })
        );
        for odd in ["a b", "a:b", "a/b", "é", "a\0", "a\n", "'; --"] {
            assert!(
                matches!(OrderId::parse(odd), Err(IdError::Character { .. })),
                "{odd:?}"
            );
        }
    }

    #[test]
    fn a_child_id_names_its_order() {
        assert_eq!(
            ShipmentId::parse("A-1:s12").unwrap().order_id(),
            OrderId::parse("A-1").unwrap()
        );
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
            assert!(ShipmentId::parse(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_call_takes_ids_and_texts() {
        fn take(id: impl IntoId<OrderId>) -> Result<OrderId, IdError> {
            id.into_id()
        }
        let id = OrderId::parse("A-1").unwrap();
        assert_eq!(take("A-1"), take(&id));
        assert_eq!(take(String::from("A-1")), take(id));
        assert_eq!(take(""), Err(IdError::Empty));
    }
}
