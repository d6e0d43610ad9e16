//! The explanations of an order: of every path of every shipment whether it is open now, by which
//! rule and whose sentence, and when that turns; and what was decided before.

use axum::extract::{Form, Query};
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_proto::v1 as pb;
use belay_proto::v1::preview_cancellation_request::Selection;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::{self, ErrorPage, unless_not_allowed};
use super::links::link;
use super::rules::Rules;
use super::visitor::Visitor;
use super::way::{self, Origin};
use super::words;
use super::{asker, decisions, links, page, parts};

/// In the order in which goods go.
const ALL_PATHS: [pb::CancellationPath; 5] = [
    pb::CancellationPath::Cancel,
    pb::CancellationPath::Intercept,
    pb::CancellationPath::RefuseDelivery,
    pb::CancellationPath::ReturnUnopened,
    pb::CancellationPath::ReturnOpened,
];
/// Past decisions on one page.
const DECISIONS_MAX: i32 = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    id: String,
    /// As a code of the policy.
    reason: String,
    /// An instant to come.
    at: String,
    /// In whose place, where whoever looks may choose: see [`asker`].
    #[serde(rename = "as")]
    asker: String,
    /// Of the past decisions.
    page: String,
    /// What the buyer registered with the order. It stands in no address: it comes by POST alone.
    #[serde(skip)]
    buyer: String,
}

/// The fields that are sent by POST beside what is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ForBuyer {
    store: String,
    id: String,
    reason: String,
    at: String,
    buyer: String,
}

/// As support explains it to a buyer whom it knows by an e-mail address or a user name.
pub(super) async fn for_buyer(
    visitor: Visitor,
    headers: HeaderMap,
    Form(sent): Form<ForBuyer>,
) -> Result<Response, ErrorPage> {
    if way::origin(&headers) == Origin::Other {
        let told = "A form counts only where the browser says that it was sent from a page of this console.";
        return Err(failure::text(StatusCode::FORBIDDEN, "Not from here", told));
    }
    if !asker::may_ask_for_buyers(&visitor) {
        let told =
            "Support and operators alone explain to a buyer what the buyer would be answered.";
        let title = "Not for this role";
        return Err(failure::text(StatusCode::FORBIDDEN, title, told));
    }
    if sent.buyer.trim().is_empty() {
        let told =
            "Give the e-mail address or the user name that the buyer registered with the order.";
        return Err(failure::malformed(told));
    }
    let ForBuyer {
        store,
        id,
        reason,
        at,
        buyer,
    } = sent;
    let asked = Asked {
        store,
        id,
        reason,
        at,
        buyer,
        ..Asked::default()
    };
    explained(&visitor, &asked).await
}

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    explained(&visitor, &asked).await
}

async fn explained(visitor: &Visitor, asked: &Asked) -> Result<Response, ErrorPage> {
    if asked.store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let mut rules = Rules::default();
    let preview = preview(visitor, asked).await?;
    if let Some(preview) = &preview {
        rules
            .learn(visitor, &asked.store, preview.policy_version)
            .await?;
    }
    let request = pb::ListDecisionsRequest {
        store_id: asked.store.clone(),
        order_id: asked.id.clone(),
        page_size: DECISIONS_MAX,
        page_token: asked.page.clone(),
        ..Default::default()
    };
    let decided = unless_not_allowed(visitor.policies().list_decisions(request).await)?;
    for evaluation in decided
        .iter()
        .flat_map(|found| &found.decisions)
        .flat_map(|of| &of.evaluations)
    {
        rules
            .learn(visitor, &asked.store, evaluation.policy_version)
            .await?;
    }
    let now = visitor.console().now().await?;
    let here = [("store", asked.store.as_str()), ("id", asked.id.as_str())];
    let body = html! {
        p { a href=(link(links::ORDER, &here)) { "To the order" } }
        h2 { "What can be cancelled" }
        (form(visitor, asked))
        @match &preview {
            Some(preview) => {
                @if let Some(who) = asked.who() { p { "Asked as " (who) "." } }
                (options(&asked.store, preview, &rules, now))
            }
            None => p class="none" { "Your role asks for no cancellation, so there is none to preview." },
        }
        h2 id="decisions" { "What was decided" }
        @match &decided {
            Some(found) => {
                (decisions::all(visitor, &asked.store, &found.decisions, &rules))
                (page::more(links::EXPLAIN, &here, ("page", &found.next_page_token)))
            }
            None => p class="none" { "Your role does not read decisions." },
        }
    };
    let looking = visitor.looking(&asked.store, links::FIND);
    let title = format!("Why: order {}", asked.id);
    Ok(page::page(&title, Some(looking), &body))
}

impl Asked {
    /// In whose place it is asked, where it is not for whoever looks.
    fn who(&self) -> Option<&'static str> {
        if self.buyer.is_empty() {
            asker::words(&self.asker)
        } else {
            asker::words(asker::BUYER)
        }
    }
}

/// What would be answered to whoever looks, or to whom it asks for; none where its role asks for
/// nothing.
async fn preview(
    visitor: &Visitor,
    asked: &Asked,
) -> Result<Option<pb::PreviewCancellationResponse>, ErrorPage> {
    let request = pb::PreviewCancellationRequest {
        store_id: asked.store.clone(),
        order_id: asked.id.clone(),
        selection: Some(Selection::All(pb::AllUnits {})),
        reason: asked.reason.trim().to_owned(),
        paths: ALL_PATHS.map(i32::from).to_vec(),
        at_time: instant(&asked.at)?.map(belay_wire::values::time),
        on_behalf_of: on_behalf_of(&asked.buyer),
        ..Default::default()
    };
    let mut cancellations = match asked.asker.as_str() {
        "" => visitor.cancellations(),
        role => asker::in_place_of(visitor, role, &asked.store, &asked.id).await?,
    };
    unless_not_allowed(cancellations.preview_cancellation(request).await)
}

fn on_behalf_of(buyer: &str) -> Option<pb::OnBehalfOf> {
    use pb::on_behalf_of::Buyer;

    let buyer = match buyer.trim() {
        "" => return None,
        email if email.contains('@') => Buyer::BuyerEmail(email.to_owned()),
        username => Buyer::BuyerUsername(username.to_owned()),
    };
    Some(pb::OnBehalfOf { buyer: Some(buyer) })
}

/// An instant in UTC, as a browser's field has it or with its zone.
fn instant(text: &str) -> Result<Option<Timestamp>, ErrorPage> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let zoned = text.parse::<Timestamp>();
    let at = zoned.or_else(|_| format!("{text}Z").parse());
    let at = at.or_else(|_| format!("{text}:00Z").parse());
    at.map(Some).map_err(|_| {
        failure::malformed(format!("{text:?} is no instant such as 2026-03-31T12:00."))
    })
}

fn form(visitor: &Visitor, asked: &Asked) -> Markup {
    let askers = asker::choices(visitor);
    html! {
        form method="get" action=(links::EXPLAIN) class="row" {
            (page::hidden("store", &asked.store))
            (page::hidden("id", &asked.id))
            @if !askers.is_empty() { (page::choice("as", "Asked as", &askers, &asked.asker)) }
            (page::field("reason", "For the reason (a code of the policy)", "text", &asked.reason))
            (page::field("at", "At (UTC), if not now", "datetime-local", &asked.at))
            button { "Explain" }
        }
        @if asker::may_ask_for_buyers(visitor) {
            details open[!asked.buyer.is_empty()] {
                summary { "As the buyer, whom you know" }
                form method="post" action=(links::EXPLAIN) class="row" {
                    (page::hidden("store", &asked.store))
                    (page::hidden("id", &asked.id))
                    (page::hidden("reason", &asked.reason))
                    (page::hidden("at", &asked.at))
                    (page::field("buyer", "E-mail address or user name of the order", "text", ""))
                    button { "Explain to the buyer" }
                }
            }
        }
    }
}

fn options(
    store: &str,
    preview: &pb::PreviewCancellationResponse,
    rules: &Rules,
    now: Timestamp,
) -> Markup {
    let mut shipments: Vec<&str> = preview
        .options
        .iter()
        .map(|of| of.shipment_id.as_str())
        .collect();
    shipments.dedup();
    let columns = [
        "Path",
        "Answer",
        "Rule",
        "Waits for",
        "#Refund",
        "Refund due",
        "Instead",
        "Opens",
        "Closes",
    ];
    html! {
        p {
            "As of " (words::time(preview.decide_time.as_ref()))
            ", by version " (preview.policy_version) " of the policy: "
            @if preview.allowed { "a request would be accepted." } @else { "a request would be rejected." }
        }
        @if !preview.rejections.is_empty() {
            ul class="rejections" {
                @for rejection in &preview.rejections {
                    li {
                        code { (rejection.reason) } " " (rejection.message)
                        @if !rejection.subject.is_empty() { " (" (rejection.subject) ")" }
                    }
                }
            }
        }
        @for shipment in shipments {
            @let of = preview.options.iter().filter(|option| option.shipment_id == shipment);
            @let rows = of.map(|option| row(store, preview.policy_version, option, rules, now));
            @let rows: Vec<Markup> = rows.collect();
            h3 { "Shipment " (shipment) }
            (page::table(&format!("Paths of {shipment}"), &columns, &rows))
        }
    }
}

fn row(
    store: &str,
    version: i32,
    option: &pb::PathOption,
    rules: &Rules,
    now: Timestamp,
) -> Markup {
    let actions = parts::next_actions(option.next_actions());
    let due = option.refund_due.as_ref();
    html! {
        th scope="row" { (parts::path(option.path())) }
        td {
            (words::verdict(option.allowed))
            @if option.chosen { " would be taken" }
            @if !option.refused_reason.is_empty() { " " code { (option.refused_reason) } }
        }
        td { (rules.told(store, version, &option.rule)) }
        td { (parts::gates_to_come(&option.gates, Some(now))) }
        td class="number" { (words::refund(option.expected_refund.as_ref())) }
        td {
            @match due {
                Some(due) if due.immediate => "at once",
                Some(due) => (words::deadline(due.due_by.as_ref(), now)),
                None => (words::NOTHING),
            }
        }
        td { (words::or_nothing(&actions)) }
        td { (words::deadline(option.available_from.as_ref(), now)) }
        td { (words::deadline(option.available_until.as_ref(), now)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buyer_is_known_by_an_address_or_a_name() {
        use pb::on_behalf_of::Buyer;

        let of = |text: &str| on_behalf_of(text).and_then(|of| of.buyer);
        assert_eq!(of("  "), None);
        let address = Buyer::BuyerEmail("ann@example.org".to_owned());
        assert_eq!(of(" ann@example.org "), Some(address));
        assert_eq!(of("ann-1"), Some(Buyer::BuyerUsername("ann-1".to_owned())));
    }

    #[test]
    fn an_instant_is_one_as_a_browser_writes_it_or_with_its_zone() {
        let of = |text: &str| instant(text).map(|at| at.map(|at| at.to_string())).ok();
        let noon = Some(Some("2026-03-31T12:00:00Z".to_owned()));
        assert_eq!(of(""), Some(None));
        assert_eq!(of("2026-03-31T12:00"), noon);
        assert_eq!(of(" 2026-03-31T12:00:00 "), noon);
        assert_eq!(of("2026-03-31T12:00:00Z"), noon);
        assert_eq!(of("2026-03-31T14:00:00+02:00"), noon);
        for odd in ["soon", "2026-03-31", "2026-02-30T12:00", "12:00"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }
}
