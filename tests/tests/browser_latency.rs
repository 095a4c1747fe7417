//! In chromium: the latency page after a real load run. What it shows are the requests of that
//! run, as the load test itself counted them, and a marker where an integration changed its
//! state.

use std::fs;
use std::process::Command;

use cardea_tests::browser::PASSWORD;
use cardea_tests::programs::program;
use cardea_tests::space::{Space, until};
use cardea_tests::webdriver::{Chromium, pictures};
use cardea_tests::{Browser, Site, load};
use serde_json::{Value, json};

const REQUESTS: u32 = 500;
/// The rows of the table of percentiles: stage, count, p50, p90, p99, p99.9, slowest.
const PERCENTILES: &str = "return [...document.querySelectorAll('main table')].slice(0, 1).flatMap(\
    (table) => [...table.querySelectorAll('tbody tr')].map((row) => \
    [...row.children].map((cell) => cell.textContent.trim())));";
/// The rows of the slowest requests.
const WORST: &str = "return [...document.querySelectorAll('main table')].slice(1, 2).flatMap(\
    (table) => [...table.querySelectorAll('tbody tr')].map((row) => \
    [...row.children].map((cell) => cell.textContent.trim())));";
/// Shapes of the chart over time.
const SHAPES: &str = "return document.querySelectorAll('svg.chart')[0].querySelectorAll(\
    'line, polyline, path').length;";

fn rows(value: &Value) -> Vec<Vec<String>> {
    let text = |cell: &Value| cell.as_str().unwrap_or_default().to_owned();
    let rows = value.as_array().into_iter().flatten();
    rows.map(|row| row.as_array().into_iter().flatten().map(text).collect())
        .collect()
}

/// Dropping an interval, a stage, the slowest requests or the marks from the page fails this.
#[test]
fn the_latency_page_shows_a_load_run() {
    let site = Site::new();
    let probes = load::people(&site, 500, REQUESTS);
    let server = site.serve();
    let (identities, _) = load::devices(&site, "d", 20);
    let report = site.file("report.json");
    load::done(
        Command::new(program("loadtest"))
            .args(["run", "--requests", &REQUESTS.to_string(), "--window", "3s"])
            .args(["--assert", "wrong=0,errors=0,refused=0"])
            .arg("--identities")
            .arg(identities)
            .arg("--probes")
            .arg(probes)
            .arg("--json")
            .arg(&report),
    );
    let report: Value =
        serde_json::from_str(&fs::read_to_string(report).expect("a report")).expect("JSON");
    let _ = Browser::administrator(&site, &server);
    let Some(chromium) = Chromium::start(&format!("https://{}", server.address)) else {
        return;
    };
    let folder = pictures("browser_latency");
    chromium.go("/console/");
    chromium.fill("#name", "admin");
    chromium.fill("#password", PASSWORD);
    chromium.click("main button.primary");
    chromium.wait_for("h1", "Dashboard");
    // An interval is handed over a second after it began.
    let all_there = format!("{REQUESTS}");
    until("all requests on the page", || {
        chromium.go("/console/latency");
        let shown = rows(&chromium.run(PERCENTILES, &json!([])));
        shown
            .iter()
            .any(|row| row[0] == "Total" && row[1] == all_there)
    });
    chromium.screenshot(&folder.join("latency.png"));
    let shown = rows(&chromium.run(PERCENTILES, &json!([])));
    let total = shown.iter().find(|row| row[0] == "Total").expect("a row");
    let ms = |cell: &str| cell.parse::<f64>().expect("milliseconds");
    let ordered: Vec<f64> = total[2..].iter().map(|cell| ms(cell)).collect();
    assert!(ordered.is_sorted(), "{total:?}");
    // The load test's own table of what the server told of each request.
    let told = report["server"]["total"]["p100"]
        .as_f64()
        .expect("microseconds")
        / 1e3;
    let slowest = ordered[ordered.len() - 1];
    assert!(
        (slowest - told).abs() <= told / 500.0 + 0.01,
        "{slowest} and {told}"
    );
    let worst = rows(&chromium.run(WORST, &json!([])));
    assert_eq!(worst.len(), 10, "the ten slowest");
    assert!(worst[0][0].starts_with('d'), "by device: {:?}", worst[0]);
    let first: Vec<&String> = worst[0].iter().filter(|cell| !cell.is_empty()).collect();
    assert!(first.len() >= 8, "with its stages: {first:?}");

    // Space comes, and goes: a mark each, in the chart and in words.
    let shapes = chromium.run(SHAPES, &json!([])).as_u64().unwrap_or(0);
    let space = Space::start(&[]);
    let (host, port) = space.host_and_port("https");
    let key = space.key_file(&site);
    let set = ["space", "set", "--host", &host, "--port", &port];
    let trust = ["--fingerprint", &space.fingerprint(), "--ship-key-file"];
    site.done(&[&set[..], &trust, &[&key]].concat());
    let marked = |text: &str| {
        until(text, || {
            chromium.go("/console/latency");
            chromium.text("main").contains(text)
        });
    };
    marked("Connected");
    drop(space);
    marked("Disconnected");
    let with_marks = chromium.run(SHAPES, &json!([])).as_u64().unwrap_or(0);
    assert!(
        with_marks >= shapes + 2,
        "{shapes} shapes, then {with_marks}"
    );
    chromium.screenshot(&folder.join("marks.png"));
}
