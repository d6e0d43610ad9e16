#![doc = include_str!("../guide/guide.md")]

#[doc = include_str!("../guide/storefront.md")]
pub mod storefront {}
#[doc = include_str!("../guide/seller.md")]
pub mod seller {}
#[doc = include_str!("../guide/warehouse.md")]
pub mod warehouse {}
#[doc = include_str!("../guide/carrier.md")]
pub mod carrier {}
#[doc = include_str!("../guide/payments.md")]
pub mod payments {}
#[doc = include_str!("../guide/support.md")]
pub mod support {}
#[doc = include_str!("../guide/testing.md")]
pub mod testing {}
