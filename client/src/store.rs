//! The calls to one store.

use crate::argument_errors::ArgumentErrors;
use crate::belay::Belay;
use crate::ids::{IdError, IntoId, StoreId};

/// A handle on one store: its methods are the calls to it. Cheap to clone.
///
/// Each method makes the call of one RPC and has its name. Required fields are arguments of the
/// method, optional fields are setters of the call, and `.await` sends it. An id may be given as
/// text.
///
/// The methods are grouped by audience: orders and payments (storefronts, payment systems) ·
/// cancellations (storefronts, sellers, support) · fulfilment (warehouses, carriers) · refunds
/// (payment workers) · settings and policies (operators).
///
/// ```no_run
/// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
/// use belay_client::{Units, reason};
///
/// let store = belay.store("demo");
/// let requested = store.request_cancellation("A-1", Units::all()).reason(reason::NO_LONGER_WANTED).await?;
/// println!("{} is {}", requested.cancellation.cancellation_id, requested.cancellation.state);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) belay: Belay,
    id: Result<StoreId, IdError>,
}

impl Belay {
    /// The calls to one store.
    ///
    /// If the id is invalid, every call of the handle fails with
    /// [`Kind::InvalidArgument`](crate::Kind::InvalidArgument).
    pub fn store(&self, store_id: impl IntoId<StoreId>) -> Store {
        Store {
            belay: self.clone(),
            id: store_id.into_id(),
        }
    }
}

impl Store {
    /// The same store for another caller: see [`Belay::with_role`].
    ///
    /// # Errors
    /// As [`Belay::with_role`].
    pub fn with_role(&self, role: crate::Role, actor: &str) -> Result<Self, crate::Error> {
        Ok(Self {
            belay: self.belay.with_role(role, actor)?,
            id: self.id.clone(),
        })
    }

    /// The same store with this scope: see [`Belay::with_scope`].
    ///
    /// # Errors
    /// As [`Belay::with_scope`].
    pub fn with_scope(&self, scope: crate::Scope) -> Result<Self, crate::Error> {
        Ok(Self {
            belay: self.belay.with_scope(scope)?,
            id: self.id.clone(),
        })
    }

    /// The beginning of every request: the store's id, and the error of it if it is invalid.
    pub(crate) fn begin(&self) -> (String, ArgumentErrors) {
        let mut errors = ArgumentErrors::default();
        (errors.checked_id("store_id", self.id.clone()), errors)
    }
}
