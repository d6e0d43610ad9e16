//! The mix of the calls: how often each is made.

use std::fmt;
use std::str::FromStr;

/// A call that load makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Pay,
    Cancel,
    Get,
    List,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Create, Self::Pay, Self::Cancel, Self::Get, Self::List];

    /// As the mix names it.
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Pay => "pay",
            Self::Cancel => "cancel",
            Self::Get => "get",
            Self::List => "list",
        }
    }

    /// The RPC.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Create => "CreateOrder",
            Self::Pay => "RecordPayment",
            Self::Cancel => "RequestCancellation",
            Self::Get => "GetOrder",
            Self::List => "ListOrders",
        }
    }
}

const SHARE_MAX: u32 = 1_000;

/// Shares, in the order of [`Kind::ALL`]; not all of them 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix([u32; Kind::ALL.len()]);

impl Mix {
    /// A call, as often as its share says.
    pub(crate) fn pick(self) -> Kind {
        self.at(fastrand::u32(0..self.total()))
    }

    fn total(self) -> u32 {
        self.0.iter().sum()
    }

    fn at(self, mut place: u32) -> Kind {
        for (kind, share) in Kind::ALL.into_iter().zip(self.0) {
            match place.checked_sub(share) {
                Some(rest) => place = rest,
                None => return kind,
            }
        }
        Kind::List
    }
}

/// `create=3,get=1`: what is not named is not made.
impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut shares = [None; Kind::ALL.len()];
        for entry in text.split(',') {
            let (name, share) = entry.trim().split_once('=').ok_or(MixError)?;
            let named = Kind::ALL.iter().position(|kind| kind.name() == name);
            let place = named.and_then(|at| shares.get_mut(at)).ok_or(MixError)?;
            let share = share.parse().ok().filter(|share| *share <= SHARE_MAX);
            // Named twice, one of them is not meant.
            if place.replace(share.ok_or(MixError)?).is_some() {
                return Err(MixError);
            }
        }
        let mix = Self(shares.map(|share: Option<u32>| share.unwrap_or(0)));
        if mix.total() == 0 {
            return Err(MixError);
        }
        Ok(mix)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MixError;

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Kind::ALL.map(Kind::name).join(", ");
        write!(
            f,
            "must be shares such as create=3,get=1, of {names}, each once at most and from 0 to {SHARE_MAX}, \
             and one of them above 0"
        )
    }
}

impl std::error::Error for MixError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_made_as_often_as_its_share_says() {
        let mix: Mix = "get=2, create=1,pay=0".parse().unwrap();
        assert_eq!(mix.total(), 3);
        let made = [0, 1, 2].map(|place| mix.at(place));
        assert_eq!(made, [Kind::Create, Kind::Get, Kind::Get]);
        let only: Mix = "list=1000".parse().unwrap();
        assert_eq!(only.pick(), Kind::List);
    }

    #[test]
    fn a_mix_that_says_nothing_or_two_things_is_refused() {
        for text in [
            "",
            "create",
            "create=",
            "create=-1",
            "create=1001",
            "order=1",
            "create=0",
            "create=1,create=2",
            "create=1,,get=1",
        ] {
            assert_eq!(text.parse::<Mix>(), Err(MixError), "{text}");
        }
    }
}
