//! Incidents, which support and operators resolve.

use belay_proto::v1 as pb;

use crate::call::Call;
use crate::calls::macros::{call, list};
use crate::ids::{Etag, IncidentId, IntoId, OrderId};
use crate::model::{
    Incident, IncidentKind, IncidentResolution, IncidentState, OrderState, ResolvedIncident,
    read_request_id,
};
use crate::store::Store;
use crate::wire::{Open, read};

/// # Incidents
impl Store {
    /// Lists incidents, newest first. All given filters must match. Fails with `PageTokenInvalid`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::IncidentState;
    ///
    /// for incident in store.list_incidents().state(IncidentState::Open).await? {
    ///     println!("{}: {}, {:?}", incident.incident_id, incident.kind, incident.allowed_resolutions);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_incidents(&self) -> ListIncidents {
        let (store_id, errors) = self.begin();
        ListIncidents(Call::new(
            &self.belay,
            pb::ListIncidentsRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Resolves an incident, with one of its `allowed_resolutions`. A repeat with the same
    /// resolution is `Ok`.
    ///
    /// Fails with `OrderNotFound`, `IncidentNotFound`, `EtagMismatch`, `IncidentResolved`,
    /// `ResolutionNotAllowed`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::IncidentResolution;
    ///
    /// let resolved = store.resolve_incident("A-1:i1", IncidentResolution::RefundAnyway).note("goods are lost").await?;
    /// println!("{}", resolved.incident.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resolve_incident(
        &self,
        incident_id: impl IntoId<IncidentId>,
        resolution: IncidentResolution,
    ) -> ResolveIncident {
        let (store_id, mut errors) = self.begin();
        let request = pb::ResolveIncidentRequest {
            store_id,
            incident_id: errors.id("incident_id", incident_id),
            resolution: resolution.to_wire(),
            ..Default::default()
        };
        ResolveIncident(Call::new(&self.belay, request, errors))
    }
}

list! {
    /// Made by [`Store::list_incidents`].
    ListIncidents(pb::ListIncidentsRequest) -> Incident, [freshness];
    incidents
}
call! {
    /// Made by [`Store::resolve_incident`].
    ResolveIncident(pb::ResolveIncidentRequest) -> ResolvedIncident, [request_id, etag, note];
    |response, position| Ok(ResolvedIncident {
        incident: read(response.incident, "incident")?,
        order_state: OrderState::from_wire(response.order_state),
        order_etag: Etag::from(response.order_etag),
        request_id: read_request_id(&response.request_id)?,
        position,
    })
}

impl ListIncidents {
    /// Only those of this order.
    pub fn order_id(mut self, order_id: impl IntoId<OrderId>) -> Self {
        self.0.request.order_id = self.0.errors.id("order_id", order_id);
        self
    }

    /// Only those in this state.
    pub fn state(mut self, state: IncidentState) -> Self {
        self.0.request.state = state.to_wire();
        self
    }

    /// Only those of this kind.
    pub fn kind(mut self, kind: IncidentKind) -> Self {
        self.0.request.kind = kind.to_wire();
        self
    }
}
