//! The console without a browser: who is let in, who may do what, and what forms must carry.

use cardea_tests::browser::PASSWORD;
use cardea_tests::site::password_in;
use cardea_tests::{Browser, Site};

/// Removing `Needs::Scope` from the dashboard's route, or the check of `must_change` in
/// `dispatch::admit`, fails this.
#[test]
fn the_first_password_opens_the_console_once_it_is_changed() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::new(&site, &server);

    assert_eq!(browser.get("/").location(), "/console/");
    let page = browser.get("/console/");
    assert_eq!(
        (page.status, page.location()),
        (303, "/console/sign-in?to=%2Fconsole%2F")
    );
    let page = browser.get("/console/sign-in");
    assert!(page.says("Sign in"), "{page:?}");
    let refused = browser.sign_in("admin", "not the password");
    assert_eq!(refused.status, 403);
    assert!(refused.says("The name or the password is wrong."));

    let page = browser.sign_in("admin", &site.password);
    assert_eq!((page.status, page.location()), (303, "/console/"));
    assert_eq!(browser.get("/console/").location(), "/console/account");
    let page = browser.get("/console/account");
    assert!(page.says("Choose one of your own"));
    let short = [
        ("old", site.password.as_str()),
        ("new", "short"),
        ("again", "short"),
    ];
    assert_eq!(browser.post("/console/account", &short).status, 422);
    browser.get("/console/account");
    browser.choose_password(&site.password, PASSWORD);
    let page = browser.get("/console/");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.says("Dashboard") && page.says("admin"));

    // The first password opens nothing any more.
    let mut other = Browser::new(&site, &server);
    assert_eq!(other.sign_in("admin", &site.password).status, 403);
    assert_eq!(other.sign_in("admin", PASSWORD).status, 303);
    // Signing out ends the session, not only the cookie.
    let kept = other.cookies.clone();
    other.get("/console/");
    assert_eq!(other.post("/console/sign-out", &[]).status, 303);
    other.cookies = kept;
    assert_eq!(other.get("/console/").status, 303);
}

#[test]
fn a_form_of_another_site_is_refused() {
    let site = Site::new();
    let server = site.serve();
    let mut browser = Browser::administrator(&site, &server);
    browser.get("/console/");
    let right = browser.csrf.clone();
    for token in ["", "0123456789abcdef0123456789abcdef"] {
        browser.csrf = token.to_owned();
        assert_eq!(
            browser.post("/console/sign-out", &[]).status,
            400,
            "{token}"
        );
    }
    // A browser says where the form comes from.
    let form = format!("csrf={right}");
    let fields = [("sec-fetch-site", "cross-site")];
    let kind = "application/x-www-form-urlencoded";
    let page = browser.ask("POST", "/console/sign-out", &fields, kind, form.as_bytes());
    assert_eq!(page.status, 400);
    assert_eq!(browser.get("/console/").status, 200, "still signed in");
    let page = browser.ask("POST", "/console/sign-out", &[], kind, form.as_bytes());
    assert_eq!(page.status, 303);
}

#[test]
fn the_command_line_makes_members_and_resets_passwords() {
    let site = Site::new();
    let server = site.serve();
    let told = site.done(&["team", "add", "vera", "--role", "viewer"]);
    let password = password_in(&told);
    assert!(site.done(&["team", "list"]).contains("vera\tviewer"));
    let mut browser = Browser::new(&site, &server);
    assert_eq!(browser.sign_in("vera", &password).status, 303);
    browser.choose_password(&password, PASSWORD);
    assert_eq!(browser.get("/console/").status, 200);
    let again = password_in(&site.done(&["team", "reset", "vera"]));
    assert_eq!(
        browser.get("/console/").status,
        303,
        "the session has ended"
    );
    assert_eq!(browser.sign_in("vera", PASSWORD).status, 403);
    assert_eq!(browser.sign_in("vera", &again).status, 303);
    let last = site.refused(&["team", "remove", "admin"]);
    assert!(last.contains("administrator"), "{last}");
    site.done(&["team", "remove", "vera"]);
    assert_eq!(browser.get("/console/account").status, 303);
}
