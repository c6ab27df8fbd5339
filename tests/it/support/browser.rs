//! A browser, as far as signing in needs one: it keeps cookies, and goes where it is sent only when told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::TestServer;
use super::http::{Answer, Request};
use super::provider::StubProvider;

const FETCH_SITE: &str = "Sec-Fetch-Site";

pub struct Browser {
    server: SocketAddr,
    cookies: BTreeMap<String, String>,
    /// What it tells by itself of the page that leads it.
    led_by: (&'static str, String),
}

impl TestServer {
    pub fn browser(&self) -> Browser {
        Browser { server: self.addr, cookies: BTreeMap::new(), led_by: (FETCH_SITE, "same-origin".to_owned()) }
    }
}

impl Browser {
    /// Led by a page of this site, in its own words.
    pub fn led_by_site(self, site: &str) -> Self {
        Self { led_by: (FETCH_SITE, site.to_owned()), ..self }
    }

    /// An older browser, or one without TLS, led by this page.
    pub fn led_by_page(self, url: &str) -> Self {
        Self { led_by: ("Referer", url.to_owned()), ..self }
    }

    /// A balancer leads it to this node from now on.
    pub fn at(self, server: &TestServer) -> Self {
        Self { server: server.addr, ..self }
    }

    /// With somebody's session.
    pub fn of(mut self, token: &str) -> Self {
        self.cookies.insert("chinwag_session".to_owned(), token.to_owned());
        self
    }

    pub fn session(&self) -> Option<&str> {
        self.cookies.get("chinwag_session").map(String::as_str)
    }

    pub fn has(&self, cookie: &str) -> bool {
        self.cookies.contains_key(cookie)
    }

    /// A request with its cookies.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::new(self.server, method, path).header(self.led_by.0, &self.led_by.1);
        if cookies.is_empty() { request } else { request.header("Cookie", &cookies.join("; ")) }
    }

    pub async fn opens(&mut self, path: &str) -> Answer {
        let answer = self.request("GET", path).await;
        for cookie in answer.headers("set-cookie") {
            let mut parts = cookie.split("; ");
            let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie has a name");
            if parts.any(|part| part == "Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Leaves for a provider; gives the provider's address.
    pub async fn leaves_by(&mut self, path: &str) -> String {
        let answer = self.opens(path).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").expect("somewhere to go").to_owned()
    }

    /// Leaves, agrees at the provider, and is sent back; gives the path to come back by.
    pub async fn agrees(&mut self, stub: &StubProvider, path: &str) -> String {
        let there = self.leaves_by(path).await;
        stub.agrees(&there).await
    }

    /// Comes back; gives where it is sent then.
    pub async fn comes_back(&mut self, path: &str) -> String {
        let answer = self.opens(path).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").expect("somewhere to go").to_owned()
    }

    /// Signs in by a path such as `/auth/github`; gives where that ends.
    pub async fn signs_in(&mut self, stub: &StubProvider, path: &str) -> String {
        let back = self.agrees(stub, path).await;
        self.comes_back(&back).await
    }

    /// Who it is signed in as.
    pub async fn me(&self) -> Value {
        let answer = self.request("GET", "/api/session").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["user"].clone()
    }
}
