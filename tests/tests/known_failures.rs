//! How other systems for orders have failed in the field, and that Belay does not. `list` names
//! each of these failures and the test that shows it; the modules here hold those tests that had no
//! better place.

mod amounts;
mod expiry;
mod goods;
mod late_money;
mod list;
mod money;
mod repeats;
mod undeliverable_returns;
