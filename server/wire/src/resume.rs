//! Resume tokens: how far somebody has read the feed, sealed. A token works with the filter that it
//! was given out for, and only who has the database's key can make one.

use belay_domain::feed::Positions;
use belay_domain::ids::{OrderKey, Partitions};
use belay_proto::v1 as pb;
use data_encoding::HEXLOWER;
use prost::Message;
use prost::encoding::{decode_varint, encode_varint};

use crate::pages::{Seal, unhex};

const TOKEN_VERSION: u8 = 1;
/// Bound on a token, in characters: one of 64 partitions, each at the longest position, is shorter.
pub const RESUME_TOKEN_CHARS_MAX: usize = 2_048;

/// The hash of a filter.
pub type FilterHash = [u8; 16];

/// A filter's hash. What is listed in it is in order and there once.
pub fn filter_hash(filter: &pb::EventFilter) -> FilterHash {
    let mut hash = FilterHash::default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&filter.encode_to_vec());
    hasher.finalize_xof().fill(&mut hash);
    hash
}

/// The content of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePoint {
    pub filter: FilterHash,
    pub positions: Positions,
}

/// The maker and reader of the tokens of one database.
#[derive(Debug, Clone)]
pub struct ResumeTokens {
    seal: Seal,
    partitions: Partitions,
}

impl ResumeTokens {
    pub fn new(identity_key: &[u8; 32], partitions: Partitions) -> Self {
        Self {
            seal: Seal::new("belay 2026 resume tokens", identity_key),
            partitions,
        }
    }

    /// The partition of an order in this database.
    pub fn partition_of(&self, order: OrderKey) -> u16 {
        order.partition(self.partitions)
    }

    pub fn seal(&self, filter: FilterHash, positions: &Positions) -> String {
        let mut point = filter.to_vec();
        for position in positions.as_slice() {
            encode_varint(*position, &mut point);
        }
        let mac = self.seal.mac(&[&point]);
        HEXLOWER.encode(&[&[TOKEN_VERSION], mac.as_slice(), &point].concat())
    }

    /// None of what is no token of this database.
    pub fn open(&self, token: &str) -> Option<ResumePoint> {
        let token = unhex(token, RESUME_TOKEN_CHARS_MAX)?;
        let (version, sealed) = token.split_first()?;
        let (mac, point) = sealed.split_first_chunk()?;
        if *version != TOKEN_VERSION || self.seal.mac(&[point]) != *mac {
            return None;
        }
        let (filter, mut rest) = point.split_first_chunk()?;
        let mut positions = Vec::with_capacity(self.partitions.count.get().into());
        while !rest.is_empty() {
            positions.push(decode_varint(&mut rest).ok()?);
        }
        (positions.len() == usize::from(self.partitions.count.get())).then(|| ResumePoint {
            filter: *filter,
            positions: Positions::new(positions),
        })
    }
}

/// Positions as they are shown.
pub fn partition_positions(positions: &Positions) -> Vec<pb::PartitionPosition> {
    positions
        .iter()
        .map(|(partition, position)| pb::PartitionPosition {
            partition: partition.into(),
            position: i64::try_from(position).unwrap_or(i64::MAX),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u16) -> Partitions {
        Partitions::parse(&format!("{count} ranges")).unwrap()
    }

    fn tokens() -> ResumeTokens {
        ResumeTokens::new(&[1; 32], of(3))
    }

    #[test]
    fn a_token_says_what_was_sealed_in_it() {
        let point = ResumePoint {
            filter: filter_hash(&pb::EventFilter::default()),
            positions: Positions::new(vec![0, 300, u64::MAX]),
        };
        let token = tokens().seal(point.filter, &point.positions);
        assert_eq!(tokens().open(&token), Some(point));
    }

    #[test]
    fn the_longest_token_is_taken() {
        let tokens = ResumeTokens::new(&[1; 32], of(64));
        let token = tokens.seal([0; 16], &Positions::new(vec![u64::MAX; 64]));
        assert!(token.len() <= RESUME_TOKEN_CHARS_MAX);
        assert!(tokens.open(&token).is_some());
    }

    #[test]
    fn what_was_not_sealed_here_is_no_token() {
        let token = tokens().seal([0; 16], &Positions::new(vec![1, 2, 3]));
        let (begin, end) = token.split_at(token.len() - 1);
        let touched = format!("{begin}{}", if end == "0" { "1" } else { "0" });
        let other_key =
            ResumeTokens::new(&[2; 32], of(3)).seal([0; 16], &Positions::new(vec![1, 2, 3]));
        let fewer = ResumeTokens::new(&[1; 32], of(2)).seal([0; 16], &Positions::new(vec![1, 2]));
        let long = "0".repeat(RESUME_TOKEN_CHARS_MAX + 2);
        for odd in [
            "", "x", "00", "é1", begin, &touched, &other_key, &fewer, &long,
        ] {
            assert_eq!(tokens().open(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_filter_is_known_by_its_hash() {
        let of = |seller: &str| {
            filter_hash(&pb::EventFilter {
                seller_ids: vec![seller.to_owned()],
                ..Default::default()
            })
        };
        assert_eq!(of("acme"), of("acme"));
        assert_ne!(of("acme"), of("other"));
    }
}
