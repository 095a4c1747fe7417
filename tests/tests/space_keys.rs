//! The two keys between Space and this server are for administrators, and sealed at rest.

use std::collections::BTreeSet;

use cardea_tests::browser::PASSWORD;
use cardea_tests::site::password_in;
use cardea_tests::space::SpaceSite;
use cardea_tests::{Browser, Site};

/// More pages than the console has, so that a walk ends.
const PAGES_MAX: usize = 200;

/// The SHIP key and the face-recognition key, in this order.
fn keys(site: &Site) -> [String; 2] {
    let shown = site.done(&["space", "keys"]);
    let keys = shown
        .lines()
        .filter_map(|line| line.split('\t').next_back());
    let keys: Vec<_> = keys.filter(|key| key.len() == 32).collect();
    let [ship, face] = keys[..] else {
        panic!("two keys: {shown}");
    };
    [ship.to_owned(), face.to_owned()]
}

/// Storing the set-up without `sealer.seal` in `Writer::space_store` fails this.
#[test]
fn neither_key_can_be_read_in_the_data_directory() {
    let site = SpaceSite::start(1, &[], &["--users", "5", "--doors", "1"]);
    let mut all = keys(&site.site).to_vec();
    for key in ["ship", "face"] {
        site.site.done(&["space", "rotate-key", key]);
    }
    all.extend(keys(&site.site));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4, "{all:?}");
    let looked_for = |site: &Site| {
        // What is stored in the clear is found, so the search looks where it should.
        assert!(!site.files_with(b"Door 1 ").is_empty());
        for key in &all {
            let found = site.files_with(key.as_bytes());
            assert!(found.is_empty(), "{key} in {found:?}");
        }
    };
    looked_for(&site.site);
    let SpaceSite { server, site, .. } = site;
    server.stop();
    looked_for(&site);
}

/// Every page that this browser can come to from the dashboard, and everything of the API that
/// takes no name.
fn pages(browser: &mut Browser) -> BTreeSet<String> {
    let document = browser.get("/api/v1/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths");
    let api = paths.iter().filter(|(_, path)| path["get"].is_object());
    let api = api.map(|(path, _)| path.clone());
    let mut found: BTreeSet<String> = api.filter(|path| !path.contains('{')).collect();
    let mut to_look_at = vec!["/console/".to_owned()];
    while let Some(path) = to_look_at.pop() {
        assert!(found.len() < PAGES_MAX, "{found:?}");
        let page = browser.get(&path);
        let links = page.body.split("href=\"").skip(1);
        for link in links.filter_map(|rest| rest.split('"').next()) {
            let link = link.replace("&#38;", "&").replace("&amp;", "&");
            let link = link.split('#').next().unwrap_or_default().to_owned();
            if link.starts_with("/console/") && found.insert(link.clone()) {
                to_look_at.push(link);
            }
        }
    }
    found
}

/// Giving the API's operation `space_show` the scope `Read` fails this. So does a page that asks
/// for no scope in its template and none in `pages::space::show`: either alone keeps the keys.
#[test]
fn a_viewer_sees_neither_key_on_any_page_nor_in_the_api() {
    let site = SpaceSite::start(1, &[], &["--users", "5", "--doors", "1"]);
    let keys = keys(&site.site);
    let mut administrator = Browser::administrator(&site.site, &site.server);
    let told = site.site.done(&["team", "add", "vera", "--role", "viewer"]);
    let password = password_in(&told);
    let mut viewer = Browser::new(&site.site, &site.server);
    viewer.sign_in("vera", &password);
    viewer.choose_password(&password, PASSWORD);
    let here = ["/console/integrations/space", "/api/v1/integrations/space"];
    for path in here {
        let page = administrator.get(path);
        assert!(keys.iter().all(|key| page.says(key)), "{page:?}");
    }
    let mut paths = pages(&mut viewer);
    paths.extend(here.map(str::to_owned));
    paths.insert("/console/integrations/space/install-script".to_owned());
    assert!(paths.len() > 20, "{paths:?}");
    for path in &paths {
        let page = viewer.get(path);
        assert!(!keys.iter().any(|key| page.says(key)), "{path}: {page:?}");
    }
    assert_eq!(viewer.get(here[0]).status, 200);
    assert_eq!(viewer.get(here[1]).status, 403);
}
