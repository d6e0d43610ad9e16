//! The parcels of a split, and the answers of warehouses and carriers.

use belay_proto::v1 as pb;

use crate::argument_errors::ArgumentErrors;
use crate::calls::line_quantities::line_quantities;
use crate::ids::{IntoId, LineId};
use crate::model::ShipmentStage;

/// The contents of a shipment to split off.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub(crate) contents: Vec<pb::LineQuantity>,
    pub(crate) errors: ArgumentErrors,
}

impl Parcel {
    /// A number of units of one line: 1 to 1,000,000.
    pub fn of(line_id: impl IntoId<LineId>, quantity: i32) -> Self {
        Self::new([(line_id, quantity)])
    }

    /// Numbers of units by line: 1 to 200 lines, none twice.
    pub fn new(contents: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>) -> Self {
        let mut errors = ArgumentErrors::default();
        let contents = line_quantities(&mut errors, "contents", contents);
        Self { contents, errors }
    }
}

/// A warehouse's answer to a stop. [`Stopped`] converts into it.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum StopAnswer {
    /// The shipment was stopped, in whole or in part.
    Stopped(Stopped),
    /// It cannot be stopped.
    CannotStop {
        /// The reason: a word of the warehouse's own, `[A-Z][A-Z0-9_]{0,62}`.
        code: Option<String>,
    },
}

impl StopAnswer {
    /// It cannot be stopped, for this reason: a word of the warehouse's own,
    /// `[A-Z][A-Z0-9_]{0,62}`.
    pub fn cannot_stop(code: impl Into<String>) -> Self {
        Self::CannotStop {
            code: Some(code.into()),
        }
    }
}

impl From<Stopped> for StopAnswer {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// The units that a warehouse has stopped.
///
/// ```
/// use belay_client::calls::Stopped;
/// use belay_client::model::ShipmentStage;
///
/// let everything = Stopped::all().stage_seen(ShipmentStage::Preparing);
/// let one_mug = Stopped::of([("A-1:l1", 1)]).put_back([("A-1:l1", 1)]);
/// # let _ = (everything, one_mug);
/// ```
#[derive(Debug, Clone)]
pub struct Stopped {
    pub(crate) message: pb::Stopped,
    pub(crate) errors: ArgumentErrors,
}

impl Stopped {
    /// Everything that was to be stopped.
    pub fn all() -> Self {
        Self {
            message: pb::Stopped::default(),
            errors: ArgumentErrors::default(),
        }
    }

    /// These units, by line: at most 200 lines, none twice. The others cannot be stopped.
    pub fn of(quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>) -> Self {
        let mut stopped = Self::all();
        stopped.message.quantities = line_quantities(&mut stopped.errors, "quantities", quantities);
        stopped
    }

    /// The stage of the shipment when it was stopped.
    #[must_use]
    pub fn stage_seen(mut self, stage: ShipmentStage) -> Self {
        self.message.stage_seen = stage.to_wire();
        self
    }

    /// The units that are put back on the shelves, by line: at most 200 lines, none twice.
    #[must_use]
    pub fn put_back(
        mut self,
        quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>,
    ) -> Self {
        self.message.put_back = line_quantities(&mut self.errors, "put_back", quantities);
        self
    }
}

/// A carrier's answer to an intercept.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterceptAnswer {
    /// The carrier brings it back.
    Confirmed,
    /// The carrier cannot.
    CannotIntercept {
        /// The reason: a word of the carrier's own, `[A-Z][A-Z0-9_]{0,62}`.
        code: Option<String>,
    },
}

impl InterceptAnswer {
    /// The carrier cannot, for this reason: a word of its own, `[A-Z][A-Z0-9_]{0,62}`.
    pub fn cannot_intercept(code: impl Into<String>) -> Self {
        Self::CannotIntercept {
            code: Some(code.into()),
        }
    }
}
