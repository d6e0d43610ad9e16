//! The addresses of the pages. What they are asked stands in the query; who asks never does.

use url::form_urlencoded::{self, byte_serialize};

pub(super) const HOME: &str = "/console/";
pub(super) const STYLE: &str = "/console/style.css";
pub(super) const SIGN_IN: &str = "/console/sign-in";
pub(super) const SIGN_OUT: &str = "/console/sign-out";
pub(super) const FIND: &str = "/console/orders";
pub(super) const ORDER: &str = "/console/order";
pub(super) const EXPLAIN: &str = "/console/explain";
pub(super) const AWAITING: &str = "/console/awaiting";
pub(super) const INCIDENTS: &str = "/console/incidents";
pub(super) const REFUNDS: &str = "/console/refunds";
pub(super) const POLICY: &str = "/console/policy";
pub(super) const FEED: &str = "/console/feed";

/// A page with what it is asked; what is empty is left out.
pub(super) fn link(page: &str, asked: &[(&str, &str)]) -> String {
    let asked = asked.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(asked)
        .finish();
    if query.is_empty() {
        page.to_owned()
    } else {
        format!("{page}?{query}")
    }
}

pub(super) fn order(store: &str, id: &str) -> String {
    link(ORDER, &[("store", store), ("id", id)])
}

/// The order of this id, or that of one of its shipments, cancellations and so on.
pub(super) fn order_named(id: &str) -> &str {
    let id = id.trim();
    id.rsplit_once(':').map_or(id, |(order, _)| order)
}

/// A rule of a version of the store's policy.
pub(super) fn rule(store: &str, version: i32, rule: &str) -> String {
    let page = link(
        POLICY,
        &[("store", store), ("version", &version.to_string())],
    );
    format!("{page}#{}", fragment(rule))
}

/// The end of an address that leads to a rule on its page.
pub(super) fn fragment(rule: &str) -> String {
    byte_serialize(rule_anchor(rule).as_bytes()).collect()
}

/// Where a rule stands on the page of its policy.
pub(super) fn rule_anchor(rule: &str) -> String {
    format!("rule-{rule}")
}

/// A page of the console to go on to after a sign-in: none where it is anything else.
pub(super) fn own(path: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>');
    (path.starts_with(HOME) && path.chars().all(is_plain)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_encoded_and_what_is_empty_is_left_out() {
        assert_eq!(link(FIND, &[("store", ""), ("page", "")]), FIND);
        let asked = link(FIND, &[("store", "a&b=\"<"), ("page", "")]);
        assert_eq!(asked, "/console/orders?store=a%26b%3D%22%3C");
        assert_eq!(order_named(" A-1:c2 "), "A-1");
        assert_eq!(order_named("A-1"), "A-1");
    }

    #[test]
    fn after_a_sign_in_one_goes_on_inside_the_console() {
        assert!(own("/console/order?store=s&id=A-1").is_some());
        for odd in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/console/",
            "/consoles",
            "/console/\\..",
            "/console/\r\nset-cookie: a=b",
            "/console/\"><script>",
        ] {
            assert_eq!(own(odd), None, "{odd:?}");
        }
    }
}
