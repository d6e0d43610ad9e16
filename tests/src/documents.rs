//! Policy documents that tests need besides the presets.

/// The preset of the store that every test starts with, to be changed.
pub fn independent_site() -> String {
    belay_server::presets::find("independent-site").expect("the preset ships").to_owned()
}

/// Before dispatch a buyer's cancellation waits for the seller, a day long; support and sellers cancel at once. `on_timeout` and
/// `on_dispatch` are what silence and a dispatch meanwhile do. The reason PROVEN wants evidence.
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
