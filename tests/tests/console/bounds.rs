//! The bounds of the console, and that whoever watches the server is answered beyond them.

use std::net::SocketAddr;

use belay_client::Role;
use belay_server::admin_port::CONSOLE_REQUESTS_MAX;
use belay_server::console::{FORM_BYTES_MAX, TAIL_EVENTS_MAX, TAILS_MAX};
use belay_tests::console::{Visitor, with_console};
use belay_tests::shop::new_order;
use belay_tests::{HANG, run, until};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::scenery::link;
use super::visitor;

/// Orders that are placed at the same time, so that they need not wait for one another.
const PLACED_AT_ONCE: usize = 32;

/// A page that goes on, as far as it has come.
pub(super) struct Tail {
    connection: TcpStream,
    read: String,
}

impl Tail {
    pub(super) async fn open(visitor: &Visitor, path: &str) -> Self {
        let mut connection = TcpStream::connect(visitor.admin).await.expect("it is open");
        let cookie = visitor.cookie.as_deref().unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\ncookie: {cookie}\r\n\r\n",
            visitor.admin
        );
        connection
            .write_all(request.as_bytes())
            .await
            .expect("it is taken");
        Self {
            connection,
            read: String::new(),
        }
    }

    /// Reads on until this is there.
    pub(super) async fn until(&mut self, text: &str) {
        while !self.read.contains(text) {
            assert!(self.more().await, "it ended without {text}: {}", self.read);
        }
    }

    /// Reads to the end: all there was.
    pub(super) async fn end(mut self) -> String {
        while self.more().await {}
        self.read
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let read = tokio::time::timeout(HANG, self.connection.read(&mut bytes)).await;
        let count = read.expect("it goes on").unwrap_or(0);
        self.read
            .push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }
}

#[test]
fn a_form_may_have_so_many_bytes() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let nobody = Visitor::to(&service);
        let form = |bytes: usize| {
            let begun = "role=SUPPORT&x=";
            format!("{begun}{}", "x".repeat(bytes - begun.len()))
        };
        let fits = nobody.post("/console/sign-in", &form(FORM_BYTES_MAX)).await;
        assert_eq!(fits.status, 303, "{fits:?}");
        let too_large = nobody
            .post("/console/sign-in", &form(FORM_BYTES_MAX + 1))
            .await;
        assert_eq!(too_large.status, 413, "{too_large:?}");
        service.stop().await;
    });
}

#[test]
fn so_many_tails_are_open_at_once() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let mut tails = Vec::new();
        for _ in 0..TAILS_MAX {
            let mut tail = Tail::open(&support, "/console/feed?store=shop").await;
            tail.until("Events as they come").await;
            tails.push(tail);
        }
        let beyond = support.get("/console/feed?store=shop").await;
        assert_eq!(beyond.status, 503, "{beyond:?}");
        assert!(beyond.body.contains("8 times at once"), "{beyond:?}");
        // Other pages are answered, and one that is closed makes room.
        support.page("/console/orders?store=shop").await;
        tails.pop();
        until("there is room", async || {
            // What the server sends finds out that nobody reads.
            let mut tail = Tail::open(&support, "/console/feed?store=shop").await;
            tail.more().await;
            tail.read.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
        drop(tails);
        service.stop().await;
    });
}

#[test]
fn one_page_of_the_tail_shows_so_many_events() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let mut tail = Tail::open(&support, "/console/feed?store=shop").await;
        tail.until("Events as they come").await;
        let storefront = t.storefront();
        let place = async |number: usize| {
            let placed = new_order(&storefront, &format!("A-{number}")).await;
            placed.expect("an order");
        };
        let numbers = futures_util::stream::iter(0..TAIL_EVENTS_MAX);
        numbers.for_each_concurrent(PLACED_AT_ONCE, place).await;
        let shown = tail.end().await;
        assert!(
            shown.contains("So many events are enough"),
            "{}",
            shown.len()
        );
        let events = shown.matches("<strong>order created</strong>").count();
        assert!(events >= TAIL_EVENTS_MAX, "{events}");
        // The next page begins where this one ended.
        let next = link(&shown, "Go on from here");
        new_order(&storefront, "LAST").await.expect("an order");
        let mut tail = Tail::open(&support, &next).await;
        tail.until("id=LAST").await;
        assert!(!tail.read.contains("id=A-0\""), "{}", tail.read);
        drop(tail);
        service.stop().await;
    });
}

/// Begins to send a form and never ends, and begins anew when its time is over or there is no
/// place: on a slow machine the first one's time is over before the last has begun.
async fn keep_a_place(admin: SocketAddr) {
    let head = format!(
        "POST /console/sign-in HTTP/1.1\r\nhost: {admin}\r\norigin: http://{admin}\r\ncontent-type: \
         application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nrole="
    );
    loop {
        let mut visit = TcpStream::connect(admin).await.expect("it is open");
        // However it ends, the next one is begun.
        let _ = visit.write_all(head.as_bytes()).await;
        let _ = visit.read_to_end(&mut Vec::new()).await;
    }
}

#[test]
fn when_the_console_is_full_whoever_watches_the_server_is_answered() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let nobody = Visitor::to(&service);
        let mut visits = JoinSet::new();
        let visit = visits.spawn(keep_a_place(nobody.admin));
        for _ in 1..CONSOLE_REQUESTS_MAX {
            visits.spawn(keep_a_place(nobody.admin));
        }
        until("it is full", async || {
            let status = nobody.get("/console/sign-in").await.status;
            (status == 503).then_some(())
        })
        .await;
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(nobody.get(path).await.status, 200, "{path}");
        }
        visit.abort();
        until("there is room", async || {
            (nobody.get("/console/sign-in").await.status == 200).then_some(())
        })
        .await;
        drop(visits);
        service.stop().await;
    });
}
