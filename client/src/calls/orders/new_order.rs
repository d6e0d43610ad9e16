//! The buyer, the lines and the shipments of an order to create.

use std::fmt;

use belay_proto::v1 as pb;

use crate::argument_errors::ArgumentErrors;
use crate::ids::{BuyerId, CarrierId, IntoId, WarehouseId};
use crate::model::Money;

/// The buyer of an order to create.
#[derive(Clone)]
pub struct NewBuyer {
    pub(crate) message: pb::Buyer,
    pub(crate) errors: ArgumentErrors,
}

impl NewBuyer {
    /// A buyer, by the storefront's id.
    pub fn new(id: impl IntoId<BuyerId>) -> Self {
        let mut errors = ArgumentErrors::default();
        let message = pb::Buyer {
            id: errors.id("id", id),
            ..Default::default()
        };
        Self { message, errors }
    }

    /// The registered e-mail address, at most 254 characters. It is kept as a keyed hash and never
    /// returned. Support proves by it on whose behalf they act.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.message.email = email.into();
        self
    }

    /// The registered user name, at most 128 characters. It is kept as a keyed hash and never
    /// returned, like the e-mail address.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.message.username = username.into();
        self
    }
}

/// The id alone: e-mail address and user name belong in no log.
impl fmt::Debug for NewBuyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewBuyer")
            .field("id", &self.message.id)
            .finish_non_exhaustive()
    }
}

/// A line to create: a number of equal units of one SKU.
#[derive(Debug, Clone)]
pub struct NewLine(pub(crate) pb::NewLine);

impl NewLine {
    /// `quantity` units (1 to 1,000,000) of a SKU (1 to 128 printable ASCII characters without
    /// spaces), which together cost `goods` before discount.
    pub fn new(sku: impl Into<String>, quantity: i32, goods: Money) -> Self {
        Self(pb::NewLine {
            sku: sku.into(),
            quantity,
            goods: Some(goods.to_wire()),
            ..Default::default()
        })
    }

    /// The title that the buyer sees: at most 256 characters.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.0.title = title.into();
        self
    }

    /// The discount on all units together, a positive amount, at most the goods.
    #[must_use]
    pub fn discount(mut self, discount: Money) -> Self {
        self.0.discount = Some(discount.to_wire());
        self
    }

    /// The tax on all units together, on top of goods less discount.
    #[must_use]
    pub fn tax(mut self, tax: Money) -> Self {
        self.0.tax = Some(tax.to_wire());
        self
    }
}

/// A shipment to create.
#[derive(Debug, Clone)]
pub struct NewShipment {
    pub(crate) message: pb::NewShipment,
    pub(crate) errors: ArgumentErrors,
}

impl NewShipment {
    /// A shipment of 1 to 200 pairs: a line of the request, counted from 1, and the number of its
    /// units.
    pub fn new(contents: impl IntoIterator<Item = (i32, i32)>) -> Self {
        let contents = contents.into_iter();
        let contents = contents.map(|(line_number, quantity)| pb::NewShipmentContent {
            line_number,
            quantity,
        });
        let message = pb::NewShipment {
            contents: contents.collect(),
            ..Default::default()
        };
        Self {
            message,
            errors: ArgumentErrors::default(),
        }
    }

    /// One of the store's warehouses; its default one unless set.
    #[must_use]
    pub fn warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.message.warehouse_id = self.errors.id("warehouse_id", warehouse_id);
        self
    }

    /// One of the store's carriers; its default one unless set.
    #[must_use]
    pub fn carrier_id(mut self, carrier_id: impl IntoId<CarrierId>) -> Self {
        self.message.carrier_id = self.errors.id("carrier_id", carrier_id);
        self
    }
}
