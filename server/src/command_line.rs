//! Groups of arguments that several commands of the binary take, and the rules between them.

pub mod address;
pub mod config_file;
pub mod database;
pub mod effective;
pub mod health;
pub mod load_bounds;
pub mod migrate;
pub mod schema;
pub mod secondaries;
pub mod shell;
pub mod tls;
pub mod trust;
pub mod variables;
pub mod version;
pub mod waits;
