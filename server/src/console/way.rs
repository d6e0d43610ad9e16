//! The way in which a browser says who looks: a cookie that holds what a caller of gRPC would send,
//! or the headers of the proxy in front. Nothing of it is in an address, and no script could read
//! it.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::form_urlencoded;

use crate::auth::Authentication;
use crate::auth::proxy::SECRET_HEADER;

/// The cookie, where the browser came by TLS: no other host, and no page without TLS, can set it.
const SECURE_COOKIE: &str = "__Host-belay-console";
/// The cookie where it did not.
const COOKIE: &str = "belay-console";
/// What a cookie may hold, in bytes: browsers keep no more than 4,096 with its name.
pub const COOKIE_BYTES_MAX: usize = 4_000;

const TOKEN: &str = "token";
/// The headers that name a caller, each with the field of the form that stands for it.
const NAMED: [(&str, &str); 6] = [
    ("role", "belay-role"),
    ("actor", "belay-actor"),
    ("stores", "belay-stores"),
    ("sellers", "belay-sellers"),
    ("warehouses", "belay-warehouses"),
    ("carriers", "belay-carriers"),
];

/// The way in which those who look are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They choose a role, and are believed.
    Role,
    /// They bring a secret or a token.
    Token,
    /// A proxy says who they are.
    Proxy,
}

impl Way {
    pub(super) fn of(authentication: &Authentication) -> Self {
        match authentication {
            Authentication::Dev => Self::Role,
            Authentication::Credentials(_) => Self::Token,
            Authentication::TrustedHeaders | Authentication::Proxy(_) => Self::Proxy,
        }
    }

    /// The headers with which whoever sends this request would call; none where it has not signed
    /// in.
    pub(super) fn credentials(self, sent: &HeaderMap) -> Option<HeaderMap> {
        if self == Self::Proxy {
            let names = NAMED.map(|(_, header)| header).into_iter();
            let mut headers = HeaderMap::new();
            for name in names.chain([SECRET_HEADER]) {
                for value in sent.get_all(name) {
                    headers.append(HeaderName::from_static(name), value.clone());
                }
            }
            return Some(headers);
        }
        let cookie = cookie(sent)?;
        let fields: Vec<(String, String)> = form_urlencoded::parse(cookie.as_bytes())
            .into_owned()
            .collect();
        self.headers(&fields)
    }

    /// The headers that these fields of a sign-in stand for; none where no header can hold them.
    pub(super) fn headers(self, fields: &[(String, String)]) -> Option<HeaderMap> {
        let field = |name: &str| {
            let mut found = fields.iter().filter(|(key, _)| key == name);
            let value = found.next().map_or("", |(_, value)| value.trim());
            (!value.is_empty()).then_some(value)
        };
        let mut headers = HeaderMap::new();
        if self == Self::Token {
            let value = HeaderValue::from_str(&format!("Bearer {}", field(TOKEN)?));
            let mut value = value.ok()?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
            return Some(headers);
        }
        for (name, header) in NAMED {
            if let Some(value) = field(name) {
                let value = HeaderValue::from_str(value).ok()?;
                headers.insert(HeaderName::from_static(header), value);
            }
        }
        // Nobody is let in without having chosen.
        headers.contains_key("belay-role").then_some(headers)
    }

    /// What the cookie holds of a sign-in.
    pub(super) fn cookie(self, fields: &[(String, String)]) -> String {
        let is_kept = |name: &str| match self {
            Self::Token => name == TOKEN,
            Self::Role | Self::Proxy => NAMED.iter().any(|(field, _)| *field == name),
        };
        let kept = fields.iter().filter_map(|(name, value)| {
            let value = value.trim();
            (is_kept(name) && !value.is_empty()).then_some((name, value))
        });
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .finish()
    }
}

/// The cookie of a request, the safer one first.
fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies: Vec<(&str, &str)> = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .collect();
    let named = |name: &str| cookies.iter().find(|(key, _)| *key == name);
    let (_, value) = named(SECURE_COOKIE).or_else(|| named(COOKIE))?;
    Some((*value).to_owned())
}

/// The origin that a form was sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A page of this console, in clear.
    Own,
    /// A page of this console, by TLS.
    OwnByTls,
    /// Somewhere else, or it does not say.
    Other,
}

/// Where a form was sent from, which browsers say and pages cannot change. What TLS ends before is
/// not known here, but the browser says how it came.
pub(super) fn origin(headers: &HeaderMap) -> Origin {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let Some((scheme, authority)) = text(header::ORIGIN).and_then(|from| from.split_once("://"))
    else {
        return Origin::Other;
    };
    let is_own = match site {
        Some(site) => site == "same-origin",
        // A browser that does not say, or a page without TLS on another machine.
        None => text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority)),
    };
    match (is_own, scheme) {
        (false, _) => Origin::Other,
        (true, "https") => Origin::OwnByTls,
        (true, _) => Origin::Own,
    }
}

/// The header that has the browser keep the cookie until it is closed.
pub(super) fn keep(cookie: &str, origin: Origin) -> String {
    if origin == Origin::OwnByTls {
        format!("{SECURE_COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict")
    } else {
        format!("{COOKIE}={cookie}; Path=/console; HttpOnly; SameSite=Strict")
    }
}

/// The headers that have the browser forget it.
pub(super) fn forget() -> [String; 2] {
    [
        format!("{SECURE_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"),
        format!("{COOKIE}=; Path=/console; HttpOnly; SameSite=Strict; Max-Age=0"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[(&'static str, &str)]) -> HeaderMap {
        let headers = headers.iter();
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        headers.map(header).collect()
    }

    #[test]
    fn a_form_comes_from_here_only_where_the_browser_says_so() {
        let host = ("host", "a.example:1");
        let of = |headers: &[(&'static str, &str)]| origin(&sent(&[&[host], headers].concat()));
        let own = ("origin", "http://a.example:1");
        let by_tls = ("origin", "https://console.example");
        let site = |site| ("sec-fetch-site", site);
        assert_eq!(of(&[own]), Origin::Own);
        assert_eq!(of(&[own, site("same-origin")]), Origin::Own);
        // The proxy in front has another name.
        assert_eq!(of(&[by_tls, site("same-origin")]), Origin::OwnByTls);
        for odd in [
            &[][..],
            &[site("same-origin")],
            &[by_tls],
            &[("origin", "null")],
            &[("origin", "http://a.example:2")],
            &[own, site("same-site")],
            &[own, site("cross-site")],
            &[own, site("none")],
        ] {
            assert_eq!(of(odd), Origin::Other, "{odd:?}");
        }
    }

    #[test]
    fn a_cookie_is_the_headers_of_a_caller_and_nothing_else() {
        let fields = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
            let fields = fields.iter();
            fields
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let token = fields(&[
            ("token", " a&b=c;d "),
            ("next", "/console/"),
            ("role", "OPERATOR"),
        ]);
        let cookie = Way::Token.cookie(&token);
        assert_eq!(cookie, "token=a%26b%3Dc%3Bd");
        let brought = format!("x=1; belay-console={cookie}; y=2");
        let headers = Way::Token
            .credentials(&sent(&[("cookie", &brought)]))
            .unwrap();
        assert_eq!(headers[header::AUTHORIZATION], "Bearer a&b=c;d");
        assert_eq!(headers.len(), 1);

        let role = fields(&[("role", "SELLER"), ("sellers", "a,b"), ("token", "t")]);
        let cookie = Way::Role.cookie(&role);
        let brought = format!("belay-console=role%3Dx; __Host-belay-console={cookie}");
        let headers = Way::Role
            .credentials(&sent(&[("cookie", &brought)]))
            .unwrap();
        assert_eq!(headers["belay-role"], "SELLER");
        assert_eq!(headers["belay-sellers"], "a,b");
        assert_eq!(headers.len(), 2);

        for (way, odd) in [
            (Way::Token, "token="),
            (Way::Token, "token=a%0Ab"),
            (Way::Token, "role=OPERATOR"),
            (Way::Role, "token=t"),
            (Way::Role, "role="),
            (Way::Role, "role=A%0D%0AB"),
        ] {
            let brought = sent(&[("cookie", &format!("belay-console={odd}"))]);
            assert!(way.credentials(&brought).is_none(), "{odd}");
        }
        assert!(Way::Token.credentials(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_proxy_alone_names_whom_it_lets_through() {
        let sent = sent(&[
            ("belay-role", "SUPPORT"),
            ("belay-proxy-secret", "s"),
            ("authorization", "Bearer t"),
            ("cookie", "belay-console=role%3DOPERATOR"),
        ]);
        let headers = Way::Proxy.credentials(&sent).unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["belay-role"], "SUPPORT");
    }
}
