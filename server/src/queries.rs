//! Queries of the services beside orders themselves and lists across them: stock, sellers,
//! consumers, histories, records. Each says what its caller sees. The services parse what is asked
//! and render what is found.

pub(crate) mod consumers;
pub(crate) mod history;
pub(crate) mod records;
pub(crate) mod sellers;
pub(crate) mod stock;
