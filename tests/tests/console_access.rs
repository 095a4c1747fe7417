//! Who gets into the console and its API, and what a browser is told: roles, tokens' scopes,
//! guessing, ends of sessions, headers, bounds.

use cardea_tests::browser::PASSWORD;
use cardea_tests::site::password_in;
use cardea_tests::{Browser, Server, Site};
use rusqlite::Connection;
use serde_json::json;

const PAGES: [&str; 9] = [
    "/console/",
    "/console/account",
    "/console/team",
    "/console/tokens",
    "/console/changes",
    "/console/integrations",
    "/console/integrations/space",
    "/console/integrations/enrolment",
    "/console/integrations/connect",
];

fn member(site: &Site, server: &Server, name: &str, role: &str) -> Browser {
    let told = site.done(&["team", "add", name, "--role", role]);
    let password = password_in(&told);
    let mut browser = Browser::new(site, server);
    assert_eq!(browser.sign_in(name, &password).status, 303);
    browser.choose_password(&password, PASSWORD);
    browser
}

fn token(browser: &mut Browser, name: &str, scopes: &[&str]) -> String {
    browser.get("/console/tokens");
    let mut fields = vec![("name", name), ("days", "90")];
    fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
    let page = browser.post("/console/tokens", &fields);
    assert_eq!(page.status, 200, "{page:?}");
    page.field("secret")
}

/// Taking a header out of `reply::headers` fails this.
#[test]
fn every_answer_tells_the_browser_what_a_page_of_ours_never_does() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    let more = [
        "/console/sign-in",
        "/console/none",
        "/assets/console.css",
        "/api/v1/openapi.json",
    ];
    for path in PAGES.iter().chain(&more) {
        let page = browser.get(path);
        let header = |name| {
            page.header(name)
                .unwrap_or_else(|| panic!("{path} lacks {name}"))
        };
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"));
        assert!(header("strict-transport-security").starts_with("max-age="));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let kept = header("cache-control");
        assert_eq!(
            kept == "no-store",
            !path.starts_with("/assets/"),
            "{path} {kept}"
        );
        assert!(
            page.body.len() < 100_000,
            "{path} has {} bytes",
            page.body.len()
        );
        for inline in ["<style", "style=\"", "onclick=", "<script>", "javascript:"] {
            assert!(!page.says(inline), "{path} has {inline}");
        }
        assert!(
            !page.says("http://") && !page.says("//cdn"),
            "{path} names another origin"
        );
    }
    let cookies = Browser::new(&site, &server).sign_in("admin", PASSWORD);
    assert_eq!(cookies.headers("set-cookie").count(), 2);
    for cookie in cookies.headers("set-cookie") {
        assert!(cookie.starts_with("__Host-"), "{cookie}");
        for flag in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(flag), "{cookie} lacks {flag}");
        }
    }
    assert_eq!(browser.get("/console/none").status, 404);
    let wrong = browser.ask("PUT", "/console/team", &[], "", b"");
    assert_eq!(
        (wrong.status, wrong.header("allow")),
        (405, Some("GET, HEAD, POST"))
    );
}

/// Removing `Err(Failure::Forbidden)` from `dispatch::admit` fails this.
#[test]
fn a_viewer_changes_nothing_and_an_installer_no_people_and_no_team() {
    let site = Site::new();
    let server = site.serve();
    let mut viewer = member(&site, &server, "vera", "viewer");
    let mut installer = member(&site, &server, "ines", "installer");
    let sets = [
        ("/console/integrations", &[("space", "on")][..]),
        (
            "/console/integrations/space",
            &[("host", "127.0.0.1"), ("port", "9")],
        ),
        (
            "/console/integrations/enrolment",
            &[("company", "x"), ("policy_address", "y")],
        ),
    ];
    for (path, fields) in sets {
        assert!(
            matches!(viewer.get(path).status, 200),
            "a viewer looks at {path}"
        );
        assert_eq!(viewer.post(path, fields).status, 403, "{path}");
    }
    let team = [("name", "eve"), ("role", "administrator")];
    for browser in [&mut viewer, &mut installer] {
        assert_eq!(browser.get("/console/team").status, 403);
        browser.get("/console/account");
        assert_eq!(browser.post("/console/team", &team).status, 403);
        assert_eq!(
            browser.post("/console/team/admin/password", &[]).status,
            403
        );
        assert_eq!(
            browser
                .post("/console/tokens", &[("name", "t"), ("scope", "team")])
                .status,
            403
        );
    }
    installer.get("/console/integrations?dialog=add");
    let added = installer.post("/console/integrations", &[("space", "on")]);
    assert_eq!(
        (added.status, added.location()),
        (303, "/console/integrations/space")
    );
    assert!(!site.done(&["team", "list"]).contains("eve"));
    // Who and what is in the audit.
    let mut admin = Browser::administrator(&site, &server);
    let changes = admin.get("/console/changes");
    assert!(
        changes.says("ines") && changes.says("Added integrations"),
        "{changes:?}"
    );
    assert!(changes.says("vera") && changes.says("Signed in"));
}

/// Removing `!call.who.may(scope)` from `dispatch::route_api` fails this.
#[test]
fn a_token_does_what_its_scopes_say_and_no_more() {
    let site = Site::new();
    let server = site.serve();
    let mut admin = Browser::administrator(&site, &server);
    let read = token(&mut admin, "reader", &["read"]);
    let team = token(&mut admin, "manager", &["read", "team"]);
    let mut script = Browser::new(&site, &server);
    let site_state = script.api("GET", "/api/v1/site", &read, None);
    assert_eq!(site_state.json()["doors"], 1, "{site_state:?}");
    for wrong in ["", "cardea_0", &read[1..]] {
        let refused = script.api("GET", "/api/v1/site", wrong, None);
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    let new = json!({"name": "eve", "role": "viewer"});
    let refused = script.api("POST", "/api/v1/team", &read, Some(&new));
    assert_eq!(
        (refused.status, refused.json()["status"].as_u64()),
        (403, Some(403))
    );
    let added = script.api("POST", "/api/v1/team", &team, Some(&new));
    // A token gives away only what it has: a viewer reads, and so may the token.
    assert_eq!(added.status, 201, "{added:?}");
    let more = json!({"name": "mallory", "role": "administrator"});
    assert_eq!(
        script
            .api("POST", "/api/v1/team", &team, Some(&more))
            .status,
        403
    );
    let stolen = script.api("POST", "/api/v1/team/admin/password", &team, None);
    assert_eq!(
        stolen.status, 403,
        "an administrator may more than the token"
    );
    for bad in [
        json!({}),
        json!({"name": "x", "role": "king"}),
        json!({"name": "x", "role": "viewer", "z": 1}),
    ] {
        let refused = script.api("POST", "/api/v1/team", &team, Some(&bad));
        assert_eq!(refused.status, 400, "{bad}");
    }
    // A session may look through the API, and change nothing there.
    assert_eq!(admin.get("/api/v1/team").status, 200);
    let kind = "application/json";
    let body = new.to_string();
    let page = admin.ask("POST", "/api/v1/team", &[], kind, body.as_bytes());
    assert_eq!(page.status, 401);
    assert_eq!(
        script
            .api("DELETE", "/api/v1/tokens/reader", &team, None)
            .status,
        200
    );
    assert_eq!(script.api("GET", "/api/v1/site", &read, None).status, 401);
    assert!(
        !site
            .files_with(team.as_bytes())
            .iter()
            .any(|file| file.ends_with("store.db"))
    );
}

/// Removing `throttle.failed` from `session::sign_in`, or its `browser` from `Attempt`, fails this.
#[test]
fn guessing_has_to_wait_and_does_not_keep_the_administrator_out() {
    let site = Site::new();
    let server = site.serve();
    let mut admin = Browser::administrator(&site, &server);
    let mut attacker = Browser::new(&site, &server);
    let mut guesses = 0;
    let waits = loop {
        let page = attacker.sign_in("admin", "a wrong password");
        guesses += 1;
        assert!(guesses < 100, "nobody is told to wait");
        if page.status == 429 && guesses > 5 {
            break page;
        }
    };
    assert!(waits.header("retry-after").is_some());
    assert!(waits.says("Too many attempts"));
    // Even the right password has to wait from there ..
    assert_eq!(attacker.sign_in("admin", PASSWORD).status, 429);
    // .. but not from the browser that the administrator has used before.
    admin.get("/console/");
    assert_eq!(admin.post("/console/sign-out", &[]).status, 303);
    assert_eq!(admin.sign_in("admin", PASSWORD).status, 303);
    // A name that does not exist is told the same.
    let mut other = Browser::new(&site, &server);
    assert!(matches!(
        other.sign_in("nobody", PASSWORD).status,
        403 | 429
    ));
}

/// Removing `s.begun > ?2` or `s.seen > ?3` from `Reader::session` fails this.
#[test]
fn a_session_ends_when_idle_and_in_any_case() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    for (column, seconds) in [("seen", 31 * 60), ("begun", 12 * 3_600 + 60)] {
        assert_eq!(browser.get("/console/").status, 200);
        let store = Connection::open(site.data().join("store.db")).expect("a store");
        let sql = format!("UPDATE sessions SET {column} = {column} - ?1");
        store.execute(&sql, [seconds]).expect("a session is there");
        assert_eq!(browser.get("/console/").status, 303, "{column}");
        assert_eq!(browser.sign_in("admin", PASSWORD).status, 303);
    }
}

/// Removing the check of `held` and `large_bytes` from `net/lifetime` is seen by the tests there;
/// this one sees the longest body of a path.
#[test]
fn long_bodies_are_for_the_console_only() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    let kind = "application/x-www-form-urlencoded";
    browser.get("/console/team");
    let mut body = format!("csrf={}&role=viewer&name=", browser.csrf).into_bytes();
    body.resize(4 << 20, b'x');
    let page = browser.ask("POST", "/console/team", &[], kind, &body);
    assert_eq!(page.status, 422, "taken, and the name is too long");
    let page = browser.ask("POST", "/v1/heartbeat", &[], "", &vec![0; 20_000]);
    assert_eq!(page.status, 413);
    let head = format!("{}", (8 << 20) + 1);
    let fields = [("content-length", head.as_str())];
    let page = browser.ask("GET", "/console/", &fields, "", b"");
    assert_eq!(page.status, 400, "GET has no body");
}

#[test]
fn the_console_speaks_six_languages() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::new(&site, &server);
    for (code, word) in [
        ("en", "Sign in"),
        ("fr", "Connexion"),
        ("de", "Anmelden"),
        ("nl", "Aanmelden"),
        ("es", "Iniciar sesión"),
        ("ar", "تسجيل الدخول"),
    ] {
        browser.language = format!("xx, {code};q=0.8");
        let page = browser.get("/console/sign-in");
        assert!(
            page.says(word) && page.says(&format!("lang=\"{code}\"")),
            "{code}"
        );
        assert_eq!(page.says("<html lang=\"ar\" dir=\"rtl\">"), code == "ar");
    }
    browser.language = "en".into();
    let page = browser.get("/console/language/ar?to=/console/sign-in");
    assert_eq!(page.location(), "/console/sign-in");
    assert!(browser.get("/console/sign-in").says("dir=\"rtl\""));
    assert_eq!(browser.get("/console/language/xx").status, 404);
    let page = browser.get("/console/language/de?to=//evil.example");
    assert_eq!(page.location(), "/console/");
}
