//! The freshness that the answer of a list or a count must have, and the position of a write that
//! it must show.

use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};

const MAX_STALENESS: &str = "belay-max-staleness";
const READ_AFTER: &str = "belay-read-after";
const WRITE_POSITION: &str = "belay-write-position";

/// The longest position that is taken, in characters; those of a server are far shorter.
const LENGTH_MAX: usize = 512;

/// The position of a write, as the server gives it with the answer: a list that is read
/// [after](crate::calls::ListOrders::read_after) it shows the write, and so whatever its caller was
/// told of before it. It may be kept as text and used by any process, and for as long as its order
/// is kept.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
/// use std::time::Duration;
///
/// use belay_client::Units;
///
/// let requested = store.request_cancellation("A-1", Units::all()).await?;
/// let mut orders = store.list_orders().buyer_id("b-7").max_staleness(Duration::from_secs(5));
/// if let Some(position) = &requested.position {
///     orders = orders.read_after(position);
/// }
/// println!("{} orders, the cancelled one among them", orders.await?.items.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WritePosition(String);

/// A text that is no position of a write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {LENGTH_MAX} characters of A-Z a-z 0-9 . _ = -")]
pub struct InvalidWritePosition(());

impl WritePosition {
    /// Reads what [`as_str`](Self::as_str) gave. Whether a server gave it out is for the server to
    /// know.
    ///
    /// # Errors
    /// For a text that cannot be one.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidWritePosition> {
        let text = text.into();
        let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '=' | '-');
        if text.is_empty() || text.len() > LENGTH_MAX || !text.chars().all(is_known) {
            return Err(InvalidWritePosition(()));
        }
        Ok(Self(text))
    }

    /// The position as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of the answer to a write.
    pub(crate) fn of_answer(metadata: &MetadataMap) -> Option<Self> {
        let value = metadata.get(WRITE_POSITION)?.to_str().ok()?;
        Self::parse(value).ok()
    }
}

/// Equality of the answer to a write by all that it says but its position: what is repeated is told
/// as it was told first, and its position is of the order as it stands by then.
macro_rules! equal_but_for_position {
    ($name:ident$(<$of:ident>)? { $($field:ident),+ }) => {
        impl$(<$of: PartialEq>)? PartialEq for $name$(<$of>)? {
            fn eq(&self, other: &Self) -> bool {
                // A field that is new is named here, or it does not compile.
                let Self { $($field,)+ position: _ } = self;
                $(*$field == other.$field)&&+
            }
        }

        impl$(<$of: Eq>)? Eq for $name$(<$of>)? {}
    };
}
pub(crate) use equal_but_for_position;

/// The freshness that a call asks for. Where it asks for nothing, the primary answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Freshness {
    pub(crate) max_staleness: Option<Duration>,
    pub(crate) after: Vec<WritePosition>,
}

impl Freshness {
    pub(crate) fn write(&self, metadata: &mut MetadataMap) {
        if let Some(staleness) = self.max_staleness {
            // Rounded down: never older than was asked for.
            let text = format!("{}ms", staleness.as_millis());
            if let Ok(value) = MetadataValue::try_from(text) {
                metadata.insert(MAX_STALENESS, value);
            }
        }
        for position in &self.after {
            if let Ok(value) = MetadataValue::try_from(position.as_str()) {
                metadata.append(READ_AFTER, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_in_the_headers_and_nothing_else() {
        let mut metadata = MetadataMap::new();
        Freshness::default().write(&mut metadata);
        assert!(metadata.is_empty());
        let asked = Freshness {
            max_staleness: Some(Duration::from_micros(1_999)),
            after: ["a1", "b2"]
                .map(|text| WritePosition::parse(text).unwrap())
                .to_vec(),
        };
        asked.write(&mut metadata);
        assert_eq!(metadata.get(MAX_STALENESS).unwrap(), "1ms");
        let after: Vec<_> = metadata.get_all(READ_AFTER).iter().collect();
        assert_eq!(after, ["a1", "b2"]);
    }

    #[test]
    fn a_position_goes_into_a_header_and_comes_back() {
        let mut metadata = MetadataMap::new();
        assert_eq!(WritePosition::of_answer(&metadata), None);
        metadata.insert(WRITE_POSITION, "01ab".parse().unwrap());
        let position = WritePosition::of_answer(&metadata).unwrap();
        assert_eq!(WritePosition::parse(position.as_str()), Ok(position));
        let longest = "a".repeat(LENGTH_MAX);
        assert!(WritePosition::parse(longest.clone()).is_ok());
        for odd in ["", "a b", "a,b", "é", "a\n", &(longest + "a")] {
            assert!(WritePosition::parse(odd).is_err(), "{odd:?}");
        }
    }
}
