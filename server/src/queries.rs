//! Queries of the services beyond single orders and lists across them: each reads one moment, and says
//! what its caller sees of it. The services parse what is asked and render what is found.

pub(crate) mod consumers;
pub(crate) mod history;
pub(crate) mod records;
pub(crate) mod sellers;
pub(crate) mod stock;
