//! Policy documents that tests need besides the presets.

/// The preset of the store that every test starts with, to be changed.
pub fn independent_site() -> String {
    belay_domain::presets::find("independent-site")
        .expect("the preset ships")
        .to_owned()
}

/// Before dispatch a buyer's cancellation waits for the seller, a day long; support and sellers
/// cancel at once. `on_timeout` and `on_dispatch` are what silence and a dispatch meanwhile do. The
/// reason PROVEN wants evidence.
pub fn consent(on_timeout: &str, on_dispatch: &str) -> String {
    format!(
        "
name: consent
unpaid: {{expire_after: 24h}}
reasons:
  - {{code: NO_LONGER_WANTED, actors: [BUYER, SELLER, SUPPORT], fault: BUYER}}
  - {{code: PROVEN, actors: [SUPPORT], fault: CARRIER, evidence_required: true, counted: true}}
  - {{code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}}
rules:
  - id: ask-seller
    when: {{actor: BUYER, stage: [UNRELEASED, PLANNED, PREPARING, READY], path: CANCEL}}
    allow:
      gates: [{{kind: SELLER_CONSENT, respond_within: 24h, on_timeout: {on_timeout}, on_dispatch: {on_dispatch}}}]
      refund: FULL
  - id: at-once
    when: {{actor: [SELLER, SUPPORT], stage: [UNRELEASED, PLANNED, PREPARING, READY], path: CANCEL}}
    allow: {{refund: FULL}}
  - id: gone
    when: {{path: CANCEL}}
    deny: {{code: SHIPPED}}
refunds: {{due: IMMEDIATE, shipping: WHEN_SHIPMENT_WHOLLY_CANCELLED}}
"
    )
}

/// A reason for each gate: CONSENT asks the seller, STOP the warehouse, and the path INTERCEPT the
/// carrier; DIRECT asks nobody while the shipment is in.
pub fn every_gate() -> String {
    "
name: every-gate
unpaid: {expire_after: 24h}
reasons:
  - {code: DIRECT, actors: [BUYER, SELLER, SUPPORT], fault: BUYER, effects: [RESTOCK]}
  - {code: CONSENT, actors: [BUYER], fault: BUYER, effects: [RESTOCK]}
  - {code: STOP, actors: [BUYER], fault: BUYER, effects: [RESTOCK]}
  - {code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}
rules:
  - id: ask-seller
    when: {reason: CONSENT, stage: [UNRELEASED, PLANNED, PREPARING, READY], path: CANCEL}
    allow:
      gates: [{kind: SELLER_CONSENT, respond_within: 24h, on_timeout: REFUSE, on_dispatch: REFUSE_PART}]
      refund: FULL
  - id: ask-warehouse
    when: {reason: STOP, stage: [UNRELEASED, PLANNED, PREPARING, READY], path: CANCEL}
    allow:
      gates: [{kind: WAREHOUSE_STOP, respond_within: 24h, on_timeout: REFUSE}]
      refund: FULL
  - id: at-once
    when: {stage: [UNRELEASED, PLANNED, PREPARING, READY], path: CANCEL}
    allow: {refund: FULL}
  - id: ask-carrier
    when: {stage: [IN_TRANSIT, RETURNING, RETURNED], path: INTERCEPT}
    allow:
      gates:
        - {kind: CARRIER_INTERCEPT, respond_within: 48h, on_timeout: REFUSE, on_lost: PASS}
        - {kind: PARCEL_RECEIPT, respond_within: 30d, on_timeout: REFUSE, on_lost: ESCALATE}
      refund: FULL
  - id: comes-home
    when: {stage: [RETURNING, RETURNED], path: REFUSE_DELIVERY}
    allow:
      gates: [{kind: PARCEL_RECEIPT, respond_within: 30d, on_timeout: REFUSE}]
      refund: FULL
  - id: gone
    when: {path: CANCEL}
    deny: {code: SHIPPED, next_actions: [INTERCEPT]}
refunds: {due: IMMEDIATE, shipping: WHEN_SHIPMENT_WHOLLY_CANCELLED}
"
    .to_owned()
}
