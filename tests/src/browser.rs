//! The console's pages and its API over HTTPS, as a browser without scripts sees them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::Value;

use cardea_loadtest::tls;

use crate::raw::{Raw, status};
use crate::site::{Server, Site};

/// A browser with its cookies.
pub struct Browser {
    config: Arc<ClientConfig>,
    server: SocketAddr,
    /// The cookies, by name.
    pub cookies: BTreeMap<String, String>,
    /// The language that it asks for; none if empty.
    pub language: String,
    /// The token of the last page's forms.
    pub csrf: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body as text.
    pub body: String,
}

impl Page {
    /// The value of a header; the first, if it repeats.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Every value of a header.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().filter_map(move |line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Where it leads.
    #[must_use]
    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// Whether the page says this.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What the field of a form holds.
    ///
    /// # Panics
    /// If there is no such field.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        let at = self.body.find(&format!("name=\"{name}\""));
        let at = at.or_else(|| self.body.find(&format!("id=\"{name}\"")));
        let at = at.unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        let tag = self.body[at..].split('>').next().unwrap_or_default();
        let value = tag.split("value=\"").nth(1).unwrap_or_default();
        value.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Browser {
    /// A browser that trusts the site's CA and has no cookie.
    ///
    /// # Panics
    /// If there is no site.
    #[must_use]
    pub fn new(site: &Site, server: &Server) -> Self {
        Self::at(site, server.address)
    }

    /// [`Self::new`], by another address of the server.
    ///
    /// # Panics
    /// If the site has no CA.
    #[must_use]
    pub fn at(site: &Site, server: SocketAddr) -> Self {
        let ca = fs::read(site.data().join("pki/site-ca.der")).expect("init made it");
        let config = tls::uncommissioned(tls::sha256(&ca)).expect("a hash");
        Self {
            config,
            server,
            cookies: BTreeMap::new(),
            language: String::new(),
            csrf: String::new(),
        }
    }

    /// A browser in which the administrator has signed in and chosen the password `a new password`.
    ///
    /// # Panics
    /// If that is refused.
    #[must_use]
    pub fn administrator(site: &Site, server: &Server) -> Self {
        let mut browser = Self::new(site, server);
        let page = browser.sign_in("admin", &site.password);
        assert_eq!(page.location(), "/console/", "{page:?}");
        browser.choose_password(&site.password, PASSWORD);
        browser
    }

    /// Signs in; gives what came back.
    pub fn sign_in(&mut self, name: &str, password: &str) -> Page {
        self.get("/console/sign-in");
        let fields = [("name", name), ("password", password)];
        self.post("/console/sign-in", &fields)
    }

    /// Changes the password, as must be done after the first sign-in.
    ///
    /// # Panics
    /// If that is refused.
    pub fn choose_password(&mut self, old: &str, new: &str) {
        self.get("/console/account");
        let fields = [("old", old), ("new", new), ("again", new)];
        let page = self.post("/console/account", &fields);
        assert_eq!(page.location(), "/console/", "{page:?}");
    }

    /// Asks for a page, without following where it leads.
    pub fn get(&mut self, path: &str) -> Page {
        self.ask("GET", path, &[], "", b"")
    }

    /// Sends a form with the token of the last page.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        body.push(format!("csrf={}", self.csrf));
        let kind = "application/x-www-form-urlencoded";
        self.ask("POST", path, &[], kind, body.join("&").as_bytes())
    }

    /// Asks the API with a token.
    pub fn api(&mut self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Page {
        let bearer = format!("Bearer {token}");
        let text = body.map_or_else(String::new, Value::to_string);
        let kind = if body.is_some() {
            "application/json"
        } else {
            ""
        };
        let fields = [("authorization", bearer.as_str())];
        self.ask(method, path, &fields, kind, text.as_bytes())
    }

    /// Sends any request.
    ///
    /// # Panics
    /// If the server answers nothing, or no HTTP.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        content_type: &str,
        body: &[u8],
    ) -> Page {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.server);
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut lines: Vec<(&str, String)> = vec![("connection", "close".to_owned())];
        if !cookies.is_empty() {
            lines.push(("cookie", cookies.join("; ")));
        }
        if !self.language.is_empty() {
            lines.push(("accept-language", self.language.clone()));
        }
        if !content_type.is_empty() {
            lines.push(("content-type", content_type.to_owned()));
        }
        if method != "GET" && method != "HEAD" {
            lines.push(("content-length", body.len().to_string()));
        }
        for (name, value) in fields {
            lines.push((name, (*value).to_owned()));
        }
        for (name, value) in lines {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut raw = Raw::connect(Arc::clone(&self.config), self.server);
        let message = [head.as_bytes(), b"\r\n", body].concat();
        raw.send(&message).expect("the server takes it");
        let answer = raw.read_to_end().expect("the server answers");
        let page = parse(&answer);
        self.remember(&page);
        page
    }

    fn remember(&mut self, page: &Page) {
        for cookie in page.headers("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie has a name");
            match cookie.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        if page.body.contains("name=\"csrf\"") {
            self.csrf = page.field("csrf");
        }
    }
}

/// What [`Browser::administrator`] chooses.
pub const PASSWORD: &str = "a new password";

fn parse(answer: &[u8]) -> Page {
    let status = status(answer).expect("HTTP");
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head ends");
    Page {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A value as forms carry it.
#[must_use]
pub fn escaped(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
