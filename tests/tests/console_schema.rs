//! The OpenAPI documents held against a running server by a public tool: schemathesis makes
//! requests of each operation, right ones and wrong ones, and checks every answer against the
//! document. It draws nothing by chance: the same requests each time.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cardea_tests::files::{json_line, write_lines};
use cardea_tests::python::python_with;
use cardea_tests::space::SpaceSite;
use cardea_tests::{Browser, Server, Site, face};

const TOOL: &str = "schemathesis==4.32.5";
/// A run takes half a minute on two idle cores; one that takes this long hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the tool on a document; gives whether nothing was found, and what it said.
fn run(site: &Site, server: &Server, document: &str, token: &str, more: &[&str]) -> (bool, String) {
    let python = python_with(TOOL);
    let folder = python.parent().expect("a file is in a folder");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/schemathesis.toml");
    let begun = Instant::now();
    let output = Command::new(folder.join("schemathesis"))
        .arg("--config-file")
        .arg(config)
        .args([
            "--no-color",
            "run",
            &format!("https://{}{document}", server.address),
        ])
        .args(["--url", &format!("https://{}", server.address)])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--generation-deterministic"])
        .args(["--checks", "all", "--continue-on-failure"])
        .arg("--tls-verify")
        .arg(site.ca_pem())
        .args(more)
        .current_dir(site.data().parent().expect("beside the data"))
        .output()
        .expect("schemathesis runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let took = begun.elapsed();
    println!("{document}: {took:?}, requests {}", made(&said));
    assert!(took < LIMIT, "{took:?}\n{said}");
    // A dead token would lock it out of all; it says so of one, whose colours it cannot guess.
    let locked_out = number_after(&said, "Authentication failed: ").unwrap_or(0);
    assert!(locked_out <= 1, "the token is of no use\n{said}");
    (output.status.success(), said)
}

fn number_after(said: &str, words: &str) -> Option<u32> {
    let rest = said.split_once(words)?.1;
    rest.split_whitespace().next()?.parse().ok()
}

/// How many requests the tool made.
fn made(said: &str) -> u32 {
    number_after(said, "Test cases:").expect("the tool counts")
}

/// A token that may do everything.
fn token(site: &Site, server: &Server) -> String {
    let mut browser = Browser::administrator(site, server);
    browser.get("/console/tokens");
    let scopes = ["read", "devices", "people", "integrations", "team"];
    let mut fields = vec![("name", "schema"), ("days", "90")];
    fields.extend(scopes.map(|scope| ("scope", scope)));
    browser.post("/console/tokens", &fields).field("secret")
}

/// What the tool's first tries, which are called `0`, find: a door, a device, a person, somebody
/// who is invited, a member.
fn fill(site: &Site) {
    let file = site.file("people.jsonl");
    write_lines(&file, &[json_line("0", "*", &face(1))]);
    site.done(&["people", "import", file.to_str().expect("UTF-8")]);
    site.done(&["door", "add", "0"]);
    site.done(&["device", "add", "0", "--door", "0"]);
    site.done(&["team", "add", "0", "--role", "viewer"]);
    let set = ["enrol", "set", "--company", "ACME", "--policy-version", "1"];
    let policy = ["--policy-url", "https://127.0.0.1:1/policy"];
    site.done(&[&set[..], &policy].concat());
    let paper = site.file("paper");
    let invite = ["enrol", "invite", "00", "--name", "Zero", "--paper"];
    site.done(&[&invite[..], &[paper.to_str().expect("UTF-8")]].concat());
}

/// Answering 200 where the document says 201, leaving a field out of an answer, taking a number
/// that the document forbids, or serving without a token fails this.
#[test]
fn the_console_api_does_what_its_document_says() {
    let site = Site::new();
    let server = site.serve();
    let token = token(&site, &server);
    fill(&site);
    let (fine, said) = run(&site, &server, "/api/v1/openapi.json", &token, &[]);
    assert!(fine && made(&said) > 1_000, "{said}");
    let log = server.stop();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

/// Answering an `ExtUserID` that cannot be one with 500, or without the word of the error that
/// the document has, fails this.
#[test]
fn what_space_may_ask_is_as_its_document_says() {
    let space = SpaceSite::start(5, &[], &["--users", "50", "--doors", "5"]);
    let said = space.site.done(&["space", "rotate-key", "face"]);
    let key = said.split_whitespace().next_back().expect("a key");
    let document = "/api/space/v1/openapi.json";
    let (fine, said) = run(&space.site, &space.server, document, key, &[]);
    assert!(fine && made(&said) > 100, "{said}");
}
