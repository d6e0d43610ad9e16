//! The rules that a page names, with the sentences of their sources.

use std::collections::BTreeMap;

use belay_people::sources::Sources;
use belay_proto::v1 as pb;
use http::StatusCode;
use maud::{Markup, html};

use super::failure::ErrorPage;
use super::parts;
use super::visitor::Visitor;

/// The sentences of the rules of those versions that a page is about.
#[derive(Default)]
pub(super) struct Rules(BTreeMap<i32, Sources>);

impl Rules {
    /// Nothing, where the role may not read policies or the version is not there.
    pub(super) async fn learn(
        &mut self,
        visitor: &Visitor,
        store: &str,
        version: i32,
    ) -> Result<(), ErrorPage> {
        if version == 0 || self.0.contains_key(&version) || !visitor.may("PolicyService/GetPolicy")
        {
            return Ok(());
        }
        let request = pb::GetPolicyRequest {
            store_id: store.to_owned(),
            version,
        };
        let found = match visitor.policies().get_policy(request).await {
            Ok(found) => found.into_inner(),
            Err(status) => {
                let failure = ErrorPage::from(status);
                let is_absent = failure.status == StatusCode::NOT_FOUND;
                return if is_absent { Ok(()) } else { Err(failure) };
            }
        };
        let document = found.policy.map(|policy| policy.document);
        let sources = Sources::read(&document.unwrap_or_default());
        self.0.insert(version, sources);
        Ok(())
    }

    /// A rule that decided, and the sentence of its source.
    pub(super) fn told(&self, store: &str, version: i32, rule: &str) -> Markup {
        if rule.is_empty() {
            return html! { "no rule decided" };
        }
        let known = self.0.get(&version);
        html! {
            @if known.is_some() { (parts::rule(store, version, rule)) } @else { (rule) }
            @if let Some(sentence) = known.and_then(|sources| sources.of(rule)) {
                p class="source" { (sentence) }
            }
        }
    }
}
