//! What a policy document may say, what it answers, when that changes, and how days are counted.

mod answers;
mod calendar;
mod cross_border_declaration;
mod errors;
mod journeys;
mod limits;
mod presets;
mod schema;
mod seller_center;
mod seller_warehouse;
mod supplier_agreement;
mod support;
mod texts;
mod turns;
