//! The policy of a store: its versions, and the document of one with its rules, to which the pages
//! of orders lead.

use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_people::sources::{self, Sources};
use belay_proto::v1 as pb;
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::{self, ErrorPage};
use super::links::link;
use super::visitor::Visitor;
use super::words::{self, chip, word};
use super::{PAGE_ENTRIES_MAX, links, page};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    /// The active one where none is named.
    version: String,
    page: String,
}

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    if asked.store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let version = match asked.version.trim() {
        "" => 0,
        text => text
            .parse()
            .map_err(|_| failure::malformed("A version is a whole number."))?,
    };
    let request = pb::GetPolicyRequest {
        store_id: asked.store.clone(),
        version,
    };
    let found = visitor.policies().get_policy(request).await?.into_inner();
    let policy = found.policy.unwrap_or_default();
    let request = pb::ListPoliciesRequest {
        store_id: asked.store.clone(),
        page_size: PAGE_ENTRIES_MAX,
        page_token: asked.page.clone(),
    };
    let versions = visitor
        .policies()
        .list_policies(request)
        .await?
        .into_inner();
    let rows: Vec<Markup> = versions.policies.iter().map(row).collect();
    let columns = ["#Version", "Name", "State", "In effect", "Created", "By"];
    let body = html! {
        (header(&policy))
        h2 { "Rules" }
        (rules(&policy.document))
        h2 { "Document" }
        (document(&policy.document))
        h2 { "Versions" }
        (page::table("Versions of the policy, the latest first", &columns, &rows))
        (page::more(
            links::POLICY,
            &[("store", &asked.store), ("version", &asked.version)],
            ("page", &versions.next_page_token),
        ))
    };
    let looking = visitor.looking(&asked.store, links::POLICY);
    let title = format!("Policy, version {}", policy.version);
    Ok(page::page(&title, Some(looking), &body))
}

fn state(policy: &pb::Policy) -> Markup {
    chip(&word(policy.state().as_str_name(), "POLICY_STATE_"))
}

fn header(policy: &pb::Policy) -> Markup {
    page::facts(&[
        ("Name", html! { (policy.name) }),
        ("State", state(policy)),
        ("In effect", words::time(policy.effective_time.as_ref())),
        ("Created", words::time(policy.create_time.as_ref())),
        ("By", html! { (policy.author_id) }),
    ])
}

fn row(policy: &pb::Policy) -> Markup {
    let version = policy.version.to_string();
    let of = [("store", policy.store_id.as_str()), ("version", &version)];
    html! {
        th scope="row" class="number" { a href=(link(links::POLICY, &of)) { (version) } }
        td { (policy.name) }
        td { (state(policy)) }
        td { (words::time(policy.effective_time.as_ref())) }
        td { (words::time(policy.create_time.as_ref())) }
        td { (words::or_nothing(&policy.author_id)) }
    }
}

/// The rules in their order, each with the sentence above it.
fn rules(document: &str) -> Markup {
    let sources = Sources::read(document);
    let rules = document.lines().filter_map(sources::rule);
    let row = |rule: &str| {
        html! {
            th scope="row" { a href=(format!("#{}", links::fragment(rule))) { (rule) } }
            td { (sources.of(rule).unwrap_or(words::NOTHING)) }
        }
    };
    let rows: Vec<Markup> = rules.map(row).collect();
    page::table(
        "Rules, of which the first that matches decides",
        &["Rule", "Source"],
        &rows,
    )
}

/// The document with a place at each rule, which is lit when one comes to it.
fn document(document: &str) -> Markup {
    html! {
        div class="scroll document" role="region" aria-label="The document" tabindex="0" {
            pre {
                @for line in document.lines() {
                    @match sources::rule(line) {
                        Some(rule) => span class="rule" id=(links::rule_anchor(rule)) { (line) },
                        None => (line),
                    }
                    "\n"
                }
            }
        }
    }
}
