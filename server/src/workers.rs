//! Workers find what is due, send ordinary commands, and report. They hold no lease and keep
//! nothing: one that dies loses nothing, two at once do no harm.

pub mod evaluate_sellers;
pub mod prune_old_rows;
pub mod read_figures;
pub mod reload_key_file;
pub mod reload_proxy_secret;
pub mod reload_tls;
pub mod settle_due_orders;
pub mod watch_health;
