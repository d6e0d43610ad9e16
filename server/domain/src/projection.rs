//! Projections: what spans orders, and follows from their events.

use crate::names::named_enum;

named_enum! {
    /// A projection; its name in SQL and in metrics.
    pub enum Projection {
        /// The stock of warehouses: see [`crate::stock`].
        Stock = "stock",
        /// What counts in the quality of sellers: see [`crate::quality`].
        SellerQuality = "seller-quality",
    }
}
