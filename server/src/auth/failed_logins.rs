//! Failed logins: counted by cause, told by address, and what they cost bounded by address. A token
//! is never told, and neither is any part of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::peer::Peer;
use crate::telemetry::logins::Cause;
use crate::telemetry::metrics::Metrics;

/// Addresses that are told apart. Those beyond share one place.
pub const ADDRESSES_MAX: usize = 1_024;
/// Between two lines about one address.
pub const LINE_INTERVAL: Duration = Duration::from_secs(60);
/// In which an address has as many failures again as it may have.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Failures of one address in [`WINDOW`] after which its tokens are not verified, where nothing
/// else is said. A balancer may make many callers one address.
pub const FAILURES_DEFAULT: u32 = 1_000;
/// The range of that knob.
pub const FAILURES_MIN: u32 = 10;
pub const FAILURES_MAX: u32 = 1_000_000;

/// A login that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedLogin {
    pub(crate) cause: Cause,
    /// What more there is to say to whoever runs the server: never of a token that is not signed by
    /// the issuer, and never a token.
    detail: Option<String>,
}

/// Of a detail, in characters.
const DETAIL_CHARS_MAX: usize = 200;

impl FailedLogin {
    pub(super) fn of(cause: Cause, detail: String) -> Self {
        let detail = Some(detail.chars().take(DETAIL_CHARS_MAX).collect());
        Self { cause, detail }
    }
}

impl From<Cause> for FailedLogin {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            detail: None,
        }
    }
}

/// The failed logins of a server, by address.
#[derive(Debug)]
pub struct FailedLogins {
    failures_max: u32,
    addresses: Mutex<HashMap<Origin, OriginFailures>>,
}

/// The origin of failed logins, as far as origins are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    /// Of IPv6 the network, for whoever has one address there has them all.
    Of(IpAddr),
    /// The port does not say where calls come from.
    Unknown,
    /// Beyond those that are told apart.
    Others,
}

#[derive(Debug)]
struct OriginFailures {
    /// Failures that are left, as a part of those that an address may have.
    left: f64,
    /// When that was so, which is the last failure.
    at: Instant,
    /// The last line, and the failures since.
    told: Option<Instant>,
    untold: u64,
}

/// The line that is due about an address.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    address: String,
    /// Failures that no line has told of, this one included.
    failures: u64,
}

impl Default for FailedLogins {
    fn default() -> Self {
        Self::new(FAILURES_DEFAULT)
    }
}

impl FailedLogins {
    pub fn new(failures_max: u32) -> Self {
        Self {
            failures_max,
            addresses: Mutex::default(),
        }
    }

    /// Whether so many logins of this peer have failed that no more of its tokens are verified.
    /// What is looked up, such as a secret, goes on counting. Peers that are not told apart never
    /// are: one of them could lock all the others out.
    pub(super) fn is_over(&self, peer: Option<&Peer>) -> bool {
        self.is_over_at(peer, Instant::now())
    }

    /// Counts a failure, and tells of it unless the address was told of just now.
    pub(super) fn record(&self, failure: &FailedLogin, peer: Option<&Peer>, metrics: &Metrics) {
        metrics.login_failed(failure.cause);
        if let Some(Line { address, failures }) = self.record_at(peer, Instant::now()) {
            tracing::warn!(
                address,
                cause = failure.cause.name(),
                detail = failure.detail,
                failures,
                "a login failed; more of the same address are counted, and told in a minute"
            );
        }
    }

    fn is_over_at(&self, peer: Option<&Peer>, now: Instant) -> bool {
        let addresses = self.addresses();
        match origin_in(&addresses, peer) {
            origin @ Origin::Of(_) => addresses
                .get(&origin)
                .is_some_and(|record| self.left(record, now) < 1.0),
            Origin::Unknown | Origin::Others => false,
        }
    }

    fn record_at(&self, peer: Option<&Peer>, now: Instant) -> Option<Line> {
        let mut addresses = self.addresses();
        if addresses.len() >= ADDRESSES_MAX {
            // Those about whom there is nothing left to say make room.
            addresses.retain(|_, record| now.duration_since(record.at) < WINDOW.max(LINE_INTERVAL));
        }
        let origin = origin_in(&addresses, peer);
        let record = addresses.entry(origin).or_insert_with(|| OriginFailures {
            left: f64::from(self.failures_max),
            at: now,
            told: None,
            untold: 0,
        });
        record.left = (self.left(record, now) - 1.0).max(0.0);
        record.at = now;
        record.untold = record.untold.saturating_add(1);
        if record
            .told
            .is_some_and(|told| now.duration_since(told) < LINE_INTERVAL)
        {
            return None;
        }
        record.told = Some(now);
        Some(Line {
            address: match origin {
                Origin::Of(address) => address.to_string(),
                Origin::Unknown => "unknown".to_owned(),
                Origin::Others => "others".to_owned(),
            },
            failures: std::mem::take(&mut record.untold),
        })
    }

    /// Failures that are left at this time: they come back evenly over the window.
    fn left(&self, record: &OriginFailures, now: Instant) -> f64 {
        let max = f64::from(self.failures_max);
        let back = now.duration_since(record.at).as_secs_f64() / WINDOW.as_secs_f64() * max;
        (record.left + back).min(max)
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, HashMap<Origin, OriginFailures>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn origin_in(addresses: &HashMap<Origin, OriginFailures>, peer: Option<&Peer>) -> Origin {
    let Some(peer) = peer else {
        return Origin::Unknown;
    };
    let origin = Origin::Of(network(peer.address.ip()));
    // One record is kept for the others.
    if addresses.contains_key(&origin) || addresses.len() + 1 < ADDRESSES_MAX {
        origin
    } else {
        Origin::Others
    }
}

/// The address, and of IPv6 the network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    fn peer(address: impl Into<IpAddr>) -> Option<Peer> {
        Some(Peer::without_certificate(SocketAddr::new(
            address.into(),
            7,
        )))
    }

    fn v4(number: u32) -> Option<Peer> {
        peer(Ipv4Addr::from(number))
    }

    #[test]
    fn an_address_is_told_of_at_once_and_then_once_a_minute() {
        let logins = FailedLogins::new(FAILURES_DEFAULT);
        let begun = Instant::now();
        let record = |peer: &Option<Peer>, after| logins.record_at(peer.as_ref(), begun + after);
        let line = |failures| {
            Some(Line {
                address: "192.0.2.1".to_owned(),
                failures,
            })
        };
        let one = peer([192, 0, 2, 1]);
        assert_eq!(record(&one, Duration::ZERO), line(1));
        for _ in 0..10 {
            assert_eq!(record(&one, LINE_INTERVAL - Duration::from_nanos(1)), None);
        }
        assert!(record(&peer([192, 0, 2, 2]), LINE_INTERVAL / 2).is_some());
        assert_eq!(record(&one, LINE_INTERVAL), line(11));
        let unknown = record(&None, LINE_INTERVAL).unwrap();
        assert_eq!((unknown.address.as_str(), unknown.failures), ("unknown", 1));
    }

    #[test]
    fn an_address_has_so_many_failures_in_a_minute() {
        let logins = FailedLogins::new(FAILURES_MIN);
        let begun = Instant::now();
        let one = peer([192, 0, 2, 1]);
        let is_over = |peer: &Option<Peer>, after| logins.is_over_at(peer.as_ref(), begun + after);
        for _ in 0..FAILURES_MIN {
            assert!(!is_over(&one, Duration::ZERO));
            logins.record_at(one.as_ref(), begun);
        }
        assert!(is_over(&one, Duration::ZERO));
        assert!(!is_over(&peer([192, 0, 2, 2]), Duration::ZERO) && !is_over(&None, Duration::ZERO));
        // One comes back in a tenth of the window.
        let share = WINDOW / FAILURES_MIN;
        assert!(is_over(&one, share - Duration::from_millis(1)));
        assert!(!is_over(&one, share + Duration::from_millis(1)));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let logins = FailedLogins::new(FAILURES_MIN);
        let now = Instant::now();
        let of = |host: u16| peer(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, host));
        assert_eq!(
            logins.record_at(of(1).as_ref(), now).unwrap().address,
            "2001:db8:1:2::"
        );
        assert_eq!(logins.record_at(of(2).as_ref(), now), None);
        let mapped = peer(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        assert_eq!(
            logins.record_at(mapped.as_ref(), now).unwrap().address,
            "192.0.2.1"
        );
    }

    #[test]
    fn addresses_beyond_the_bound_share_a_place_until_others_are_forgotten() {
        let logins = FailedLogins::new(FAILURES_DEFAULT);
        let now = Instant::now();
        let many = u32::try_from(ADDRESSES_MAX).unwrap();
        for number in 0..many - 1 {
            assert!(logins.record_at(v4(number).as_ref(), now).is_some());
        }
        let address = |number, after| {
            let line = logins.record_at(v4(number).as_ref(), now + after);
            line.map(|line| line.address)
        };
        assert_eq!(address(many, Duration::ZERO).as_deref(), Some("others"));
        for number in many..2 * many {
            assert_eq!(address(number, Duration::ZERO), None);
        }
        assert_eq!(logins.addresses().len(), ADDRESSES_MAX);
        assert!(!logins.is_over_at(v4(many).as_ref(), now));
        let later = address(many, WINDOW.max(LINE_INTERVAL));
        assert_eq!(later.as_deref(), Some("0.0.4.0"));
        assert_eq!(logins.addresses().len(), 1);
    }
}
