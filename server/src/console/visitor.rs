//! The visitor of a page: known for each request anew by what its cookie brings, in the way in
//! which callers of gRPC are known, or by the headers of the proxy in front.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use belay_domain::scope::Caller;
use belay_proto::v1::cancellation_service_client::CancellationServiceClient;
use belay_proto::v1::event_service_client::EventServiceClient;
use belay_proto::v1::order_service_client::OrderServiceClient;
use belay_proto::v1::policy_service_client::PolicyServiceClient;
use belay_proto::v1::refund_service_client::RefundServiceClient;
use belay_proto::v1::store_service_client::StoreServiceClient;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, header};

use super::calls::Reads;
use super::facts::Facts;
use super::failure;
use super::page::{self, Looking};
use super::way::Way;
use super::{Console, sign_in};
use crate::auth::peer::Peer;
use crate::auth::{Authentication, authenticate};

/// The visitor of a page, as a caller that was let in.
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) way: Way,
    console: Console,
    reads: Reads,
}

macro_rules! clients {
    ($($name:ident: $Client:ident;)*) => {$(
        pub(super) fn $name(&self) -> $Client<Reads> {
            // The server bounds what it answers.
            $Client::new(self.reads.clone()).max_decoding_message_size(usize::MAX)
        }
    )*};
}

impl Visitor {
    clients! {
        orders: OrderServiceClient;
        cancellations: CancellationServiceClient;
        refunds: RefundServiceClient;
        stores: StoreServiceClient;
        policies: PolicyServiceClient;
        events: EventServiceClient;
    }

    /// The cancellations as whoever these headers name would call them; none where they are not
    /// believed.
    pub(super) fn believed(
        &self,
        headers: &[(&'static str, String)],
    ) -> Option<CancellationServiceClient<Reads>> {
        let reads = match self.way {
            Way::Role => self.reads.with(headers)?,
            Way::Token | Way::Proxy => return None,
        };
        Some(CancellationServiceClient::new(reads).max_decoding_message_size(usize::MAX))
    }

    pub(super) fn console(&self) -> &Console {
        &self.console
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.console.0.facts
    }

    /// Whether this role may call a method, such as `OrderService/ListOrders`.
    pub(super) fn may(&self, method: &str) -> bool {
        page::may(&self.caller, method)
    }

    /// What a page about this store has around it.
    pub(super) fn looking<'a>(&'a self, store: &'a str, here: &'static str) -> Looking<'a> {
        Looking {
            caller: &self.caller,
            signs_out: self.way != Way::Proxy,
            store,
            here,
        }
    }
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let way = Way::of(&console.0.authentication);
        let Some(headers) = way.credentials(&parts.headers) else {
            return Err(sign_in::elsewhere(&parts.uri));
        };
        let peer = parts.extensions.get::<Peer>().cloned();
        let metrics = &console.0.app.telemetry.metrics;
        let known = authenticate(&console.0.authentication, &headers, peer.as_ref(), metrics);
        let login = known
            .await
            .map_err(|error| sign_in::not_known(way, &parts.uri, error))?;
        Ok(Self {
            caller: login.caller,
            way,
            reads: console.0.reads.by(headers, peer),
            console: console.clone(),
        })
    }
}

/// Where anybody who reaches the port is believed, a page of somebody else could have a browser of
/// this machine ask here, under a name of its own that leads to this address. So the name must be
/// one of this machine.
pub(super) async fn only_from_here(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    let is_believed = matches!(
        console.0.authentication,
        Authentication::Dev | Authentication::TrustedHeaders
    );
    if is_believed && !names_this_machine(request.headers()) {
        return failure::text(
            http::StatusCode::MISDIRECTED_REQUEST,
            "Not here",
            "Whoever reaches this console is believed, so it answers at the addresses of its own machine alone, such as \
             http://127.0.0.1 or http://localhost.",
        )
        .into_response();
    }
    next.run(request).await
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_matches(['[', ']']);
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_this_machine_is_an_address_of_its_own_or_localhost() {
        let is_here = |host: &str| {
            let host = (header::HOST, host.parse().unwrap());
            names_this_machine(&HeaderMap::from_iter([host]))
        };
        for host in [
            "127.0.0.1:9464",
            "127.1.2.3",
            "[::1]:9464",
            "localhost",
            "LocalHost:1",
        ] {
            assert!(is_here(host), "{host}");
        }
        for host in [
            "evil.example:9464",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "[::2]:1",
        ] {
            assert!(!is_here(host), "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
