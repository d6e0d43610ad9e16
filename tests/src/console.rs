//! Visitors of the console: a browser without a window, a script or a mind of its own. It keeps its
//! cookie, and says of a form where it was sent from.

use std::net::SocketAddr;

use belay_client::Role;
use belay_server::server::ServerSettings;

use crate::TestServer;
use crate::instance::Service;
use crate::process::HttpAnswer;

/// A visitor of a console.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub admin: SocketAddr,
    pub cookie: Option<String>,
}

/// A second server on the database of a test, by the same clock, which shows the console.
pub async fn with_console(
    t: &TestServer,
    has_manual_clock: bool,
    change: impl FnOnce(&mut ServerSettings),
) -> Service {
    Service::start(t.database.serve_url().await, |settings| {
        settings.admin_address = Some(([127, 0, 0, 1], 0).into());
        settings.console = true;
        settings.manual_clock = has_manual_clock;
        change(settings);
    })
    .await
}

impl Visitor {
    /// Nobody yet.
    pub fn to(service: &Service) -> Self {
        Self {
            admin: service.admin_address().expect("it is open"),
            cookie: None,
        }
    }

    /// Whoever has chosen this role. `fields` are more of the form, such as `&sellers=acme`.
    pub async fn in_role(service: &Service, role: Role, fields: &str) -> Self {
        let form = format!("role={role}&actor=somebody{fields}");
        Self::to(service).signed_in(&form).await
    }

    /// Signed in with this form, which must do.
    pub async fn signed_in(mut self, form: &str) -> Self {
        let answer = self.post("/console/sign-in", form).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        self.cookie = Some(set_cookie(&answer).expect("a cookie"));
        self
    }

    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.ask("GET", path, &[], "").await
    }

    /// A form of a page of this console.
    pub async fn post(&self, path: &str, form: &str) -> HttpAnswer {
        let origin = format!("http://{}", self.admin);
        self.ask("POST", path, &[("origin", &origin)], form).await
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: &str,
    ) -> HttpAnswer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.admin);
        if let Some(cookie) = &self.cookie {
            request.push_str(&format!("cookie: {cookie}\r\n"));
        }
        if !form.is_empty() {
            let length = form.len();
            request.push_str(&format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n"
            ));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = HttpAnswer::to(self.admin, &format!("{request}\r\n{form}")).await;
        answer.unwrap_or_else(|| panic!("{method} {path}: no answer"))
    }

    /// A page that must be there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }
}

/// The cookie that an answer sets and does not end, as it is sent back.
pub fn set_cookie(answer: &HttpAnswer) -> Option<String> {
    // The head is in lower case, and what the cookie holds is not.
    let line = answer.original.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_kept = !value.contains("Max-Age=0");
        (name.eq_ignore_ascii_case("set-cookie") && is_kept).then_some(value)
    })?;
    line.split(';').next().map(str::to_owned)
}
