//! The freshness that a read must have, as the headers of its call say: how old it may be at most,
//! and which writes it must show. A write is known by its order and the version that it left,
//! sealed, so that only what a server has told of can be asked for: whoever could make one up would
//! learn which orders there are.
//!
//! Where the read is made is for others to know.

use std::fmt;
use std::time::Duration;

use belay_domain::ids::OrderKey;
use belay_domain::rejection::FieldViolation;
use data_encoding::HEXLOWER;
use http::HeaderMap;
use jiff::SignedDuration;

use crate::pages::{TokenCipher, unhex};
use crate::status::CallError;

/// Of a request: how old what is read may be. Only with it a read may be answered by a secondary.
pub const MAX_STALENESS: &str = "belay-max-staleness";
/// Of a request: positions of writes that the read must show.
pub const READ_AFTER: &str = "belay-read-after";
/// Of the answer to a write: its position.
pub const WRITE_POSITION: &str = "belay-write-position";
/// Of the answer to a read that may have been answered by a secondary: `primary` or `secondary`.
pub const READ_FROM: &str = "belay-read-from";
/// Beside it: how old what was read may be at most, in milliseconds, such as `740ms`.
pub const STALENESS: &str = "belay-staleness";

/// The methods that a secondary may answer: lists and counts of orders and of what they hold. A
/// read of one order is always the primary's, and so is whatever decides.
pub const READ_ANYWHERE: &[&str] = &[
    "/belay.v1.OrderService/ListOrders",
    "/belay.v1.OrderService/FindOrders",
    "/belay.v1.OrderService/SummarizeOrders",
    "/belay.v1.CancellationService/ListCancellations",
    "/belay.v1.CancellationService/ListIncidents",
    "/belay.v1.CancellationService/SummarizeActions",
    "/belay.v1.FulfillmentService/ListShipments",
    "/belay.v1.RefundService/ListRefunds",
    "/belay.v1.PolicyService/ListDecisions",
];

/// The least and the most that may be said.
pub const STALENESS_LEAST: Duration = Duration::from_millis(1);
pub const STALENESS_MOST: Duration = Duration::from_secs(3_600);
/// Positions that one call may name.
pub const READ_AFTER_MAX: usize = 16;

const POSITION_VERSION: u8 = 1;
/// Longest position, in characters; those that we make have 82.
const POSITION_CHARS_MAX: usize = 128;

/// The position of a write: whoever sees the order at this version sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WritePosition {
    pub order: OrderKey,
    pub version: u64,
}

/// The maker and reader of the positions of one database.
#[derive(Clone)]
pub struct WritePositions {
    /// By its first key it makes them, and by all it reads them.
    envelopes: Vec<TokenCipher>,
}

impl fmt::Debug for WritePositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WritePositions")
    }
}

impl WritePositions {
    /// By the database's identity key, and those that it had before.
    pub fn new(identity_key: &[u8; 32], former: &[[u8; 32]]) -> Self {
        let keys = std::iter::once(identity_key).chain(former);
        let envelope = |key| TokenCipher::new("belay 2026 write positions", key);
        Self {
            envelopes: keys.map(envelope).collect(),
        }
    }

    pub fn seal(&self, position: WritePosition) -> String {
        let mut text = position.order.0.to_vec();
        text.extend(position.version.to_be_bytes());
        let closed = self.envelopes[0].close(&text, &[]);
        HEXLOWER.encode(&[&[POSITION_VERSION], closed.as_slice()].concat())
    }

    /// None of what is no position that this database gave out.
    pub fn open(&self, text: &str) -> Option<WritePosition> {
        let bytes = unhex(text, POSITION_CHARS_MAX)?;
        let (version, closed) = bytes.split_first()?;
        let closed = (*version == POSITION_VERSION).then_some(closed)?;
        let mut opened = self.envelopes.iter();
        let text = opened.find_map(|envelope| envelope.open(closed, &[]))?;
        let (order, version) = text.split_first_chunk()?;
        Some(WritePosition {
            order: OrderKey(*order),
            version: u64::from_be_bytes(version.try_into().ok()?),
        })
    }
}

/// The freshness that a read must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// How old it may be; None where it is to be what the primary has.
    pub max_staleness: Option<Duration>,
    /// The writes that it must show.
    pub after: Vec<WritePosition>,
}

impl Freshness {
    /// As the headers of a call say, of any call: one that is always answered by the primary keeps
    /// every promise.
    ///
    /// # Errors
    /// All that is wrong with them, by their names.
    pub fn read(headers: &HeaderMap, positions: &WritePositions) -> Result<Self, CallError> {
        let mut violations = Vec::new();
        let mut violate = |header: &str, description: String| {
            violations.push(FieldViolation {
                field: header.to_owned(),
                description,
            });
        };
        let mut ages = headers.get_all(MAX_STALENESS).iter();
        let max_staleness = ages.next().map(|value| staleness(value.as_bytes()));
        if max_staleness == Some(None) || ages.next().is_some() {
            violate(
                MAX_STALENESS,
                "must be given once, as a duration such as 5s or 500ms, from 1ms to 1h".to_owned(),
            );
        }
        let mut after = Vec::new();
        let values = headers.get_all(READ_AFTER).iter();
        let named = values.flat_map(|value| value.to_str().unwrap_or("?").split(','));
        for (index, text) in named.enumerate() {
            if index == READ_AFTER_MAX {
                violate(
                    READ_AFTER,
                    format!("must be {READ_AFTER_MAX} positions at most"),
                );
                break;
            }
            match positions.open(text.trim()) {
                Some(position) => after.push(position),
                None => violate(
                    READ_AFTER,
                    format!("[{index}] is no {WRITE_POSITION} that this installation gave out"),
                ),
            }
        }
        if !violations.is_empty() {
            return Err(CallError::invalid_fields(violations));
        }
        Ok(Self {
            max_staleness: max_staleness.flatten(),
            after,
        })
    }
}

fn staleness(value: &[u8]) -> Option<Duration> {
    let parsed: SignedDuration = std::str::from_utf8(value).ok()?.parse().ok()?;
    let staleness = Duration::try_from(parsed).ok()?;
    let is_known = (STALENESS_LEAST..=STALENESS_MOST).contains(&staleness);
    is_known.then_some(staleness)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn positions() -> WritePositions {
        WritePositions::new(&[1; 32], &[])
    }

    fn position(version: u64) -> WritePosition {
        WritePosition {
            order: OrderKey([7; 16]),
            version,
        }
    }

    fn read(headers: &[(&'static str, &str)]) -> Result<Freshness, Vec<String>> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        Freshness::read(&map, &positions()).map_err(|error| {
            let CallError::InvalidFields { violations, .. } = error else {
                panic!("{error}")
            };
            violations.into_iter().map(|of| of.field).collect()
        })
    }

    #[test]
    fn a_position_says_what_was_sealed_in_it_and_no_more_can_be_read() {
        for version in [1, 300, u64::MAX] {
            let text = positions().seal(position(version));
            assert_eq!(text.len(), 82);
            assert_eq!(positions().open(&text), Some(position(version)));
            assert!(!text.contains("0707"), "{text}");
        }
    }

    #[test]
    fn a_position_is_known_after_the_key_has_changed() {
        let text = positions().seal(position(3));
        let later = WritePositions::new(&[2; 32], &[[1; 32]]);
        assert_eq!(later.open(&text), Some(position(3)));
        assert_ne!(later.seal(position(3)), text);
        assert_eq!(positions().open(&later.seal(position(3))), None);
    }

    #[test]
    fn what_was_not_given_out_is_no_position() {
        let text = positions().seal(position(1));
        let (begin, end) = text.split_at(text.len() - 1);
        let touched = format!("{begin}{}", if end == "0" { "1" } else { "0" });
        let of_others = WritePositions::new(&[2; 32], &[]).seal(position(1));
        let long = "0".repeat(POSITION_CHARS_MAX + 2);
        for odd in [
            "", "x", "00", "01", "é1", begin, &touched, &of_others, &long,
        ] {
            assert_eq!(positions().open(odd), None, "{odd:?}");
            assert_eq!(read(&[(READ_AFTER, odd)]), Err(vec![READ_AFTER.to_owned()]));
        }
    }

    #[test]
    fn a_staleness_has_its_bounds_and_is_said_once() {
        for (text, millis) in [("1ms", 1), ("500ms", 500), ("5s", 5_000), ("1h", 3_600_000)] {
            let expected = Some(Duration::from_millis(millis));
            assert_eq!(
                read(&[(MAX_STALENESS, text)]).unwrap().max_staleness,
                expected
            );
        }
        for odd in ["", "0s", "999us", "1h 1ms", "-1s", "5", "soon", "\u{e9}"] {
            let refused = Err(vec![MAX_STALENESS.to_owned()]);
            assert_eq!(read(&[(MAX_STALENESS, odd)]), refused, "{odd:?}");
        }
        assert!(read(&[(MAX_STALENESS, "5s"), (MAX_STALENESS, "5s")]).is_err());
        assert_eq!(read(&[]), Ok(Freshness::default()));
    }

    #[test]
    fn positions_come_in_one_header_or_in_several_and_not_too_many() {
        let [one, two] = [1, 2].map(|version| positions().seal(position(version)));
        let both = vec![position(1), position(2)];
        let joined = format!("{one}, {two}");
        assert_eq!(read(&[(READ_AFTER, &joined)]).unwrap().after, both);
        assert_eq!(
            read(&[(READ_AFTER, &one), (READ_AFTER, &two)])
                .unwrap()
                .after,
            both
        );
        let most = vec![one.as_str(); READ_AFTER_MAX].join(",");
        assert_eq!(
            read(&[(READ_AFTER, &most)]).unwrap().after.len(),
            READ_AFTER_MAX
        );
        let more = format!("{most},{one}");
        assert_eq!(
            read(&[(READ_AFTER, &more)]),
            Err(vec![READ_AFTER.to_owned()])
        );
        // All that is wrong is told at once.
        let faults = [READ_AFTER, MAX_STALENESS].map(|header| (header, "no"));
        assert_eq!(read(&faults).unwrap_err(), [MAX_STALENESS, READ_AFTER]);
    }
}
