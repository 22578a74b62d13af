//! Which requests are answered: those of a browser on this host that has the secret, for this host, from this page.

use std::fmt::Write as _;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ring::rand::{SecureRandom as _, SystemRandom};

/// The secret, and where it is good.
#[derive(Clone)]
pub(super) struct Guard {
    token: String,
    port: u16,
}

impl Guard {
    /// Makes a secret.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn new(port: u16) -> anyhow::Result<Self> {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
        let token = random.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // a string takes all
            text
        });
        Ok(Self { token, port })
    }

    /// Returns the address that a browser is to open.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/?token={}", self.port, self.token)
    }

    /// Browsers send cookies to all ports of a host.
    fn cookie(&self) -> String {
        format!("pleach-{}", self.port)
    }

    /// Returns whether a name that a browser was given leads here by itself: others may be an attacker's.
    fn is_here(&self, host: &str) -> bool {
        let port = self.port;
        [format!("127.0.0.1:{port}"), format!("localhost:{port}")].iter().any(|known| known == host)
    }

    fn refusal(&self, request: &Request) -> Option<StatusCode> {
        let headers = request.headers();
        let one = |name| text(headers, name);
        if request.method() != Method::GET {
            return Some(StatusCode::METHOD_NOT_ALLOWED);
        }
        if !one(header::HOST).is_some_and(|host| self.is_here(host)) {
            return Some(StatusCode::MISDIRECTED_REQUEST);
        }
        let from = |origin: &str| origin.strip_prefix("http://").is_some_and(|host| self.is_here(host));
        let is_foreign = headers.contains_key(header::ORIGIN) && !one(header::ORIGIN).is_some_and(from);
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if is_foreign || site.is_some_and(|site| site != b"same-origin" && site != b"none") {
            return Some(StatusCode::FORBIDDEN);
        }
        (!self.knows_token(request)).then_some(StatusCode::FORBIDDEN)
    }

    fn knows_token(&self, request: &Request) -> bool {
        let (name, cookies) = (self.cookie(), text(request.headers(), header::COOKIE).unwrap_or_default());
        let mut cookies = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        let in_cookie = cookies.any(|(key, value)| key == name && self.is_token(value));
        in_cookie || self.is_entering(request)
    }

    /// Returns whether the secret is in the address: a browser comes for the first time.
    fn is_entering(&self, request: &Request) -> bool {
        let token = request.uri().query().and_then(|query| query.strip_prefix("token="));
        request.uri().path() == ENTRY && token.is_some_and(|token| self.is_token(token))
    }

    /// Takes as long for each wrong one.
    fn is_token(&self, text: &str) -> bool {
        let differing = self.token.bytes().zip(text.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
        differing == 0 && text.len() == self.token.len()
    }

    /// Sends a browser on to the address without the secret, which it keeps: so it is in no list of visited pages.
    fn entered(&self) -> Response {
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie(), self.token);
        (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, ENTRY.into())]).into_response()
    }
}

/// Answers what may be answered, and says what a browser must not do with it.
pub(super) async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(&request) {
        Some(status) => (status, "Open the whole address that `pleach web` has printed.\n").into_response(),
        None if guard.is_entering(&request) => guard.entered(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The page that an address with the secret leads to.
const ENTRY: &str = "/";

/// Nothing comes from elsewhere, no other page shows this one, and nothing of it is kept.
const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];
