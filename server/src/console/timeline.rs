//! Events as rows: of one order, and of the feed.

use belay_proto::v1 as pb;
use belay_wire::cloud_events::type_name;
use maud::{Markup, html};

use super::facts::{self, Facts};
use super::{links, words};

pub(super) const COLUMNS: &[&str] = &["When", "What", "Facts", "By", "Rule"];
pub(super) const FEED_COLUMNS: &[&str] = &["When", "Order", "What", "Facts", "By", "Rule"];

/// The cells of an event; with its order, where there are several.
pub(super) fn row(facts: &Facts, event: &pb::Event, with_order: bool) -> Markup {
    let what = words::word(&type_name(event), "");
    let told = facts::joined(&facts.of_event(event));
    html! {
        td { (words::time(event.event_time.as_ref())) }
        @if with_order {
            th scope="row" {
                a href=(links::order(&event.store_id, &event.order_id)) { (event.order_id) }
            }
        }
        td { strong { (what) } }
        td class="facts" { (words::or_nothing(&told)) }
        td {
            (words::actor(event.actor.as_ref()))
            @if event.on_behalf_of.is_some() { " for " (words::actor(event.on_behalf_of.as_ref())) }
        }
        td {
            @if event.rule.is_empty() { (words::NOTHING) } @else {
                a href=(links::rule(&event.store_id, event.policy_version, &event.rule)) { (event.rule) }
            }
        }
    }
}
