//! Shipments that customs may take for commerce.

use std::collections::BTreeMap;

use crate::ids::Sku;
use crate::lifecycle::draft::Draft;
use crate::policy::Customs;
use crate::shipment::{CustomsFlag, Shipment};
use crate::terms::NextAction;

/// Flags a shipment anew, after its units have changed.
pub(crate) fn flag_again(draft: &mut Draft<'_>, number: u32) {
    let customs = draft.pinned(draft.order.policy_version).customs.as_ref();
    // By a policy that says nothing of customs no shipment was flagged before either.
    let Some(customs) = customs else { return };
    let flag = draft
        .order
        .shipment(number)
        .and_then(|shipment| flag(draft, customs, shipment));
    let now = draft.now;
    let shipment = draft.shipment_mut(number);
    if shipment.customs_flag != flag {
        shipment.customs_flag = flag;
        shipment.update_time = now;
    }
}

/// The remedies for a shipment that is flagged; none where it is not.
pub(crate) fn remedies<'a>(draft: &Draft<'a>, shipment: &Shipment) -> Option<&'a [NextAction]> {
    shipment.customs_flag.as_ref()?;
    let customs = draft.pinned(draft.order.policy_version).customs.as_ref()?;
    let carrier = draft.store.carriers.get(&shipment.carrier);
    let partner = carrier.is_some_and(|carrier| carrier.partner_delivery);
    Some(if partner {
        &customs.partner_delivery
    } else {
        &customs.own_delivery
    })
}

/// The SKU of which a shipment that crosses a border holds more than the policy lets pass, over all
/// its lines; the one with the most units.
fn flag(draft: &Draft<'_>, customs: &Customs, shipment: &Shipment) -> Option<CustomsFlag> {
    let order = &draft.order;
    let from = draft
        .store
        .warehouses
        .get(&shipment.warehouse)?
        .country_code
        .as_ref()?;
    if *from == order.destination.country_code {
        return None;
    }
    let live = order.live_units(shipment);
    let mut units_by_sku: BTreeMap<&Sku, u32> = BTreeMap::new();
    for line in live.lines().filter_map(|line| order.line(line)) {
        *units_by_sku.entry(&line.sku).or_default() += live.count_of(line.number);
    }
    let (sku, quantity) = units_by_sku
        .into_iter()
        .max_by_key(|(_, quantity)| *quantity)?;
    let units_max = customs.identical_units_max;
    (quantity > units_max).then(|| CustomsFlag {
        sku: sku.clone(),
        quantity,
        units_max,
    })
}
