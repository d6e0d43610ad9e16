//! What is kept with orders and cancellations, and notes.

use std::collections::BTreeMap;

use belay_proto::v1 as pb;

use super::known::Run;
use super::pair::Caller;

/// The last is no key.
const KEYS: &[&str] = &["channel", "campaign", "case", "a.b-c_d", "no key"];
const SYSTEMS: &[&str] = &["sap", "zendesk", "channel", "s p"];

impl Run<'_> {
    pub(crate) fn metadata(&mut self) -> BTreeMap<String, String> {
        let count = self.random.pick(&[0, 0, 0, 1, 2]);
        let count = if self.random.chance(2) { 17 } else { count };
        let entries = (0..count).map(|number| {
            let key = match number {
                0..2 => self.random.pick(&KEYS[..4]).to_owned(),
                _ => format!("k{number}"),
            };
            let odd = self.random.pick(&["", "a\nb", "caf\u{e9}"]);
            let is_odd = self.random.chance(3);
            (key, if is_odd { odd } else { "web" }.to_owned())
        });
        entries.collect()
    }

    pub(crate) fn external_references(&mut self) -> Vec<pb::ExternalReference> {
        let count = self.random.pick(&[0, 0, 0, 1, 1, 2]);
        let references = (0..count).map(|number: usize| {
            let is_odd = self.random.chance(3);
            let id = self.random.pick(&["4711", "4712"]);
            let url = self.random.pick(&["", "https://erp.example.org/4711"]);
            pb::ExternalReference {
                system: SYSTEMS[if is_odd { 0 } else { number }].to_owned(),
                id: if is_odd { "47 11" } else { id }.to_owned(),
                url: if is_odd { "javascript:alert(1)" } else { url }.to_owned(),
            }
        });
        references.collect()
    }

    /// Names to delete, seldom one that is none: the last of these.
    fn names(&mut self, of: &[&str]) -> Vec<String> {
        let count = self.random.pick(&[0, 0, 0, 1]);
        let of = &of[..of.len() - usize::from(!self.random.chance(4))];
        (0..count)
            .map(|_| self.random.pick(of).to_owned())
            .collect()
    }

    fn writer(&mut self, order: &pb::Order) -> Caller {
        let seller = Caller::new("seller", &order.seller_id);
        let others = ["storefront", "support", "operator"].map(|role| Caller::new(role, "web"));
        let caller = self.random.pick(&[vec![seller], others.to_vec()].concat());
        self.perhaps(caller)
    }

    pub(crate) async fn annotate(&mut self, order: &pb::Order) {
        let named = (order.store_id.clone(), order.order_id.clone());
        let caller = self.writer(order);
        let cancellation = order.cancellations.first();
        let cancellation = cancellation.filter(|_| self.random.chance(50));
        let cancellation_id = cancellation.map(|of| of.cancellation_id.clone());
        if self.random.chance(40) {
            let shipment = order.shipments.first().filter(|_| self.random.chance(20));
            let shipment_id = shipment.map(|of| of.shipment_id.clone());
            let request = pb::AddNoteRequest {
                store_id: named.0.clone(),
                order_id: named.1.clone(),
                etag: self.etag(&order.etag),
                text: self.random.pick(&["Called back.", "A\nB", " "]).to_owned(),
                visibility: self.random.pick(&[1, 2, 2, 0, 9]),
                cancellation_id: self.spoil(cancellation_id.unwrap_or_default(), 3),
                shipment_id: shipment_id.unwrap_or_default(),
                ..Default::default()
            };
            self.command(named, caller, request).await;
            return;
        }
        let (mut set_metadata, delete_metadata) = (self.metadata(), self.names(KEYS));
        if set_metadata.is_empty() && self.random.chance(80) {
            set_metadata.insert("agent".to_owned(), "ann".to_owned());
        }
        let set_external_references = self.external_references();
        let delete_external_references = self.names(SYSTEMS);
        let etag = self.etag(&order.etag);
        if let Some(cancellation_id) = cancellation_id {
            let request = pb::UpdateCancellationMetadataRequest {
                store_id: named.0.clone(),
                cancellation_id: self.spoil(cancellation_id, 3),
                etag,
                set_metadata,
                delete_metadata,
                set_external_references,
                delete_external_references,
                ..Default::default()
            };
            self.command(named, caller, request).await;
        } else {
            let request = pb::UpdateOrderMetadataRequest {
                store_id: named.0.clone(),
                order_id: named.1.clone(),
                etag,
                set_metadata,
                delete_metadata,
                set_external_references,
                delete_external_references,
                ..Default::default()
            };
            self.command(named, caller, request).await;
        }
    }
}
