//! The places for connections: how many there may be, in all and from one address, and a reserve
//! beyond them in which health is still asked. It knows addresses and no sockets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::telemetry::port::{ConnectionRefusal, PortMetrics};

/// Connections beyond the limits that may ask for health, and nothing else. One more takes the
/// place of the oldest, so that whoever fills the reserve has to fill it again and again.
pub const RESERVE: usize = 8;
/// The part of an IPv6 address that one customer of a network has all of.
const IPV6_PREFIX_BITS: u32 = 64;

/// The places of one server. Cloning it shares them.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    metrics: PortMetrics,
    taken: Mutex<Taken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Connections in all.
    pub(super) all: usize,
    /// Connections from one address.
    pub(super) address: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_origin: HashMap<IpAddr, usize>,
    /// The oldest first.
    reserve: VecDeque<InReserve>,
    /// Connections that lost their place in the reserve and are not closed yet.
    ending: usize,
    next_id: u64,
}

#[derive(Debug)]
struct InReserve {
    id: u64,
    origin: IpAddr,
    ended: CancellationToken,
}

/// A place that a connection has until this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    places: Places,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Served { origin: IpAddr },
    Reserve { id: u64, ended: CancellationToken },
}

impl Places {
    pub(super) fn new(limits: Limits, metrics: PortMetrics) -> Self {
        Self(Arc::new(Shared {
            limits,
            metrics,
            taken: Mutex::default(),
        }))
    }

    /// A place for a connection from `address`: one in the reserve where the limits are met, and
    /// the limit that it is.
    pub(super) fn take(&self, address: IpAddr) -> (Slot, Option<ConnectionRefusal>) {
        let origin = origin(address);
        let mut taken = self.taken();
        let of_origin = taken.by_origin.get(&origin).copied().unwrap_or_default();
        let refusal = if taken.all >= self.0.limits.all {
            ConnectionRefusal::All
        } else if of_origin >= self.0.limits.address {
            ConnectionRefusal::Address
        } else {
            taken.all += 1;
            taken.by_origin.insert(origin, of_origin + 1);
            self.tell(&taken);
            let kind = Kind::Served { origin };
            return (self.slot(kind), None);
        };
        (self.reserved(&mut taken, origin), Some(refusal))
    }

    /// A place in the reserve, whatever the limits say.
    pub(super) fn take_reserve(&self, address: IpAddr) -> Slot {
        self.reserved(&mut self.taken(), origin(address))
    }

    /// Ends a connection in the reserve, so that its descriptor is free.
    pub(super) fn end_one_in_reserve(&self) {
        self.taken().end_oldest();
    }

    /// Connections that are to close and have not yet.
    pub(super) fn ending(&self) -> usize {
        self.taken().ending
    }

    fn reserved(&self, taken: &mut Taken, origin: IpAddr) -> Slot {
        if taken.reserve.len() >= RESERVE {
            taken.end_oldest();
        }
        let id = taken.next_id;
        taken.next_id += 1;
        let ended = CancellationToken::new();
        taken.reserve.push_back(InReserve {
            id,
            origin,
            ended: ended.clone(),
        });
        self.tell(taken);
        self.slot(Kind::Reserve { id, ended })
    }

    fn slot(&self, kind: Kind) -> Slot {
        Slot {
            places: self.clone(),
            kind,
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, taken: &Taken) {
        let count = |connections| u64::try_from(connections).unwrap_or(u64::MAX);
        self.0
            .metrics
            .connections_are(count(taken.all), count(taken.reserve.len()));
    }
}

impl Taken {
    /// Ends the oldest connection of the origin that has most of the reserve: who fills it does not
    /// push out who asks once.
    fn end_oldest(&mut self) {
        let of = |origin: IpAddr| {
            let same = self.reserve.iter().filter(|other| other.origin == origin);
            same.count()
        };
        let most = self.reserve.iter().map(|one| of(one.origin)).max();
        let oldest = |one: &InReserve| Some(of(one.origin)) == most;
        if let Some(at) = self.reserve.iter().position(oldest)
            && let Some(ended) = self.reserve.remove(at)
        {
            self.ending += 1;
            ended.ended.cancel();
        }
    }
}

/// What counts as one address: whoever has a network of IPv6 has 2^64 addresses of it.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let host_bits = Ipv6Addr::BITS - IPV6_PREFIX_BITS;
            let network = address.to_bits() >> host_bits << host_bits;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

impl Slot {
    /// Whether only health is answered here.
    pub(super) fn is_reserve(&self) -> bool {
        matches!(self.kind, Kind::Reserve { .. })
    }

    /// Ends when the place is another's; never, where it is no reserve.
    pub(super) async fn ended(&self) {
        match &self.kind {
            Kind::Served { .. } => std::future::pending().await,
            Kind::Reserve { ended, .. } => ended.cancelled().await,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match &self.kind {
            Kind::Served { origin } => {
                taken.all -= 1;
                if let Some(of_origin) = taken.by_origin.get_mut(origin) {
                    *of_origin -= 1;
                    if *of_origin == 0 {
                        taken.by_origin.remove(origin);
                    }
                }
            }
            Kind::Reserve { id, .. } => match taken.reserve.iter().position(|one| one.id == *id) {
                Some(at) => drop(taken.reserve.remove(at)),
                None => taken.ending -= 1,
            },
        }
        self.places.tell(&taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    const A: &str = "192.0.2.1";
    const B: &str = "192.0.2.2";

    fn places(all: usize, address: usize) -> Places {
        let metrics = PortMetrics::new(&Metrics::new(), "callers");
        Places::new(Limits { all, address }, metrics)
    }

    fn take(places: &Places, address: &str) -> (Slot, Option<ConnectionRefusal>) {
        places.take(address.parse().unwrap())
    }

    #[test]
    fn a_limit_is_met_and_left_again() {
        let places = places(3, 2);
        let first = take(&places, A);
        let _second = take(&places, A);
        assert_eq!((&first.1, first.0.is_reserve()), (&None, false));
        let (beyond, why) = take(&places, A);
        assert_eq!(
            (why, beyond.is_reserve()),
            (Some(ConnectionRefusal::Address), true)
        );
        let _third = take(&places, B);
        assert_eq!(take(&places, B).1, Some(ConnectionRefusal::All));
        drop(first);
        assert_eq!(take(&places, B).1, None, "its place is free");
        assert_eq!(take(&places, A).1, None);
    }

    #[test]
    fn an_address_is_counted_as_its_network() {
        let places = places(9, 1);
        let _held = ["2001:db8::1", A].map(|address| take(&places, address).0);
        for same in ["2001:db8::2", "2001:db8:0:0:ffff::", "::ffff:192.0.2.1"] {
            assert_eq!(
                take(&places, same).1,
                Some(ConnectionRefusal::Address),
                "{same}"
            );
        }
        for other in ["2001:db8:0:1::1", B] {
            assert_eq!(take(&places, other).1, None, "{other}");
        }
    }

    #[tokio::test]
    async fn the_reserve_is_taken_from_whom_has_most_of_it() {
        let places = places(0, 1);
        let once = take(&places, B).0;
        let mut many: Vec<Slot> = (1..RESERVE).map(|_| take(&places, A).0).collect();
        assert!(many.iter().all(|slot| !is_ended(slot)));
        let _last = take(&places, A).0;
        assert!(!is_ended(&once), "the older one is another's");
        assert!(is_ended(&many.remove(0)));
        assert!(many.iter().all(|slot| !is_ended(slot)));
        assert_eq!(places.ending(), 0, "it has closed by now");
    }

    fn is_ended(slot: &Slot) -> bool {
        match &slot.kind {
            Kind::Reserve { ended, .. } => ended.is_cancelled(),
            Kind::Served { .. } => false,
        }
    }
}
