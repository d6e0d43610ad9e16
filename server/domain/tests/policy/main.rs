//! What a policy document may say, what it answers, and how working days are counted.

mod answers;
mod calendar;
mod faults;
mod limits;
mod presets;
mod support;
mod texts;
