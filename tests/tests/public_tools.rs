//! Our files, read by public tools: the latency log and the load test's interval log by PyPI's
//! HdrHistogram, `/metrics` by Prometheus' own `promtool`. Counts are known beforehand, and
//! percentiles are compared with what our own programs say of the same files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cardea_loadtest::tls;
use cardea_tests::programs::program;
use cardea_tests::python::{python_with, script};
use cardea_tests::raw::{Raw, status};
use cardea_tests::{Device, Server, Site, face, load};
use cardea_wire::{CommissioningCode, Decision};
use serde_json::Value;

const LIBRARY: &str = "hdrhistogram==0.10.8";
/// Merges a folder's interval logs by tag and prints `tag count p50 p90 p99 p100`.
const READER: &str = r"
import pathlib, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
merged = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob('*.hlog')):
    reader = HistogramLogReader(str(path), HdrHistogram(1, 60_000_000, 3))
    while (interval := reader.get_next_interval_histogram()) is not None:
        tag = interval.get_tag()
        merged.setdefault(tag, HdrHistogram(1, 60_000_000, 3)).add(interval)
for tag, all in merged.items():
    print(tag, all.get_total_count(), *(all.get_value_at_percentile(p) for p in (50, 90, 99, 100)))
";

/// Merges all tags of an interval log and prints each value that it has, in milliseconds, with the
/// requests up to there. (The library's own `.hgrm` takes other steps than HdrHistogram's.)
const VALUES: &str = r"
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
all = HdrHistogram(1, 60_000_000, 3)
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 60_000_000, 3))
while (interval := reader.get_next_interval_histogram()) is not None:
    all.add(interval)
for step in all.get_recorded_iterator():
    print(step.value_iterated_to / 1000, step.total_count_to_this_value)
";

/// Count, p50, p90, p99 and p100 in microseconds, by tag.
type Read = BTreeMap<String, [u64; 5]>;

/// What the public library reads in a folder of logs.
fn read_by_library(folder: &Path) -> Read {
    let printed = script(&python_with(LIBRARY), READER, &[folder]);
    let line = |line: &str| {
        let mut words = line.split(' ');
        let tag = words.next().expect("a tag").to_owned();
        let numbers: Vec<u64> = words.map(|word| word.parse().expect("a number")).collect();
        (tag, <[u64; 5]>::try_from(numbers).expect("five numbers"))
    };
    printed.lines().map(line).collect()
}

/// What `cardea latency` prints of the site's own folder, without stages that nothing passed.
fn read_by_cardea(site: &Site) -> Read {
    let table = site.done(&["latency"]);
    let mut read = Read::new();
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    for row in rows {
        let words: Vec<&str> = row.split_whitespace().collect();
        let us = |at: usize| {
            let ms: f64 = words[at].parse().expect("a time");
            (ms * 1e3).round() as u64
        };
        let count = words[1].parse().expect("a count");
        if count > 0 {
            // Its columns: stage count p50 p90 p99 p99.9 max.
            read.insert(words[0].to_owned(), [count, us(2), us(3), us(4), us(6)]);
        }
    }
    read
}

/// Equal within the three digits of the histograms.
fn alike(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= one.max(other) / 1_000 + 1
}

/// The answers at these ranks of all, sorted.
fn ranks(mut times: Vec<u32>) -> [u64; 4] {
    times.sort_unstable();
    let count = times.len();
    [50, 90, 99, 100].map(|percent| u64::from(times[count * percent / 100 - 1].max(1)))
}

/// Fails if `StageHistograms::record` leaves a stage out, if `Totals::publish` drops the last
/// interval, or `LatencyLog::append` writes another scale, tag or base of time. 100 requests, so
/// that every percentile is one of them, whichever way a library rounds.
#[test]
fn the_latency_log_holds_every_request_for_the_public_library_too() {
    let site = Site::new();
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    let (mut queue, mut search, mut record) = (Vec::new(), Vec::new(), Vec::new());
    for attempt in 0..100 {
        if attempt % 25 == 0 {
            device.disconnect();
        }
        let reply = device.access(&face(1 + attempt % 2));
        let due = [Decision::Granted, Decision::Denied][attempt as usize % 2];
        assert_eq!(reply.decision, due);
        queue.push(reply.times.queue_us);
        search.push(reply.times.search_us);
        record.push(reply.times.record_us);
    }
    // Refusals and heartbeats are no access requests.
    assert_eq!(device.heartbeat().0, 200);
    server.stop();

    let folder = site.data().join("latency");
    let read = read_by_library(&folder);
    assert_eq!(read, read_by_cardea(&site), "ours and the public reader");
    let counts: Vec<(&str, u64)> = read
        .iter()
        .map(|(stage, numbers)| (stage.as_str(), numbers[0]))
        .collect();
    let due = [
        ("authorise", 50),
        ("handshake", 4),
        ("queue", 100),
        ("receive", 100),
        ("record", 100),
        ("search", 100),
        ("send", 100),
        ("total", 100),
    ];
    assert_eq!(counts, due);
    assert_eq!(site.attempts(), 100, "and the audit agrees");
    for (stage, replied) in [("queue", queue), ("search", search), ("record", record)] {
        for (logged, replied) in read[stage][1..].iter().zip(ranks(replied)) {
            assert!(alike(*logged, replied), "{stage}: {logged} {replied}");
        }
    }

    // A log with one interval less is seen to be one: the counts above are no coincidence.
    let file = fs::read_dir(&folder).expect("a folder").next();
    let file = file.expect("a log").expect("an entry").path();
    let text = fs::read_to_string(&file).expect("text");
    let without = text.replacen("Tag=search,", "#Tag=search,", 1);
    assert_ne!(text, without);
    fs::write(&file, without).expect("written");
    let fewer = read_by_library(&folder)
        .get("search")
        .map_or(0, |read| read[0]);
    assert!(fewer < 100, "{fewer}");
}

/// The rows of a percentile distribution: value in milliseconds, quantile, requests up to there.
fn rows_of_distribution(text: &str) -> Vec<(f64, f64, u64)> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let due = ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];
    assert_eq!(head, due);
    assert_eq!(lines.next(), Some(""));
    let rows = lines.take_while(|line| !line.starts_with('#')).map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<f64>().expect("a number");
        (number(0), number(1), words[2].parse().expect("a count"))
    });
    rows.collect()
}

/// Fails if `write_hlog` counts a lane's request twice, or not, or in another unit; or if
/// `write_hgrm` counts each step alone, prints another unit, or leaves a step out.
#[test]
fn the_load_tests_interval_log_agrees_with_its_report() {
    let site = Site::new();
    let probes = load::people(&site, 200, 500);
    let server = site.serve();
    let (identities, _) = load::devices(&site, "d", 20);
    let logs = site.file("logs");
    fs::create_dir(&logs).expect("a folder");
    let report = site.file("report.json");
    load::done(
        Command::new(program("loadtest"))
            .args(["run", "--requests", "500", "--window", "2s"])
            .args(["--lanes", "kept-alive=60,resumed=20,cold=20"])
            .args(["--assert", "requests=500,wrong=0,errors=0,refused=0"])
            .arg("--identities")
            .arg(identities)
            .arg("--probes")
            .arg(probes)
            .arg("--hlog")
            .arg(logs.join("run.hlog"))
            .arg("--hgrm")
            .arg(site.file("run.hgrm"))
            .arg("--json")
            .arg(&report),
    );
    server.stop();
    let report = fs::read_to_string(&report).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let read = read_by_library(&logs);
    let total: u64 = read.values().map(|numbers| numbers[0]).sum();
    assert_eq!((read.len(), total), (3, 500), "{read:?}");
    for (lane, numbers) in &read {
        let reported = &report["lanes"][lane]["response"];
        assert_eq!(reported["count"], numbers[0], "{lane}");
        for (name, logged) in ["p50", "p90", "p99", "p100"].iter().zip(&numbers[1..]) {
            let reported = reported[name].as_u64().expect("a time");
            assert!(
                alike(*logged, reported),
                "{lane} {name}: {logged} {reported}"
            );
        }
    }

    let rows = fs::read_to_string(site.file("run.hgrm")).expect("a distribution");
    check_distribution(&rows, &logs.join("run.hlog"), 500);
}

/// Holds each row of a percentile distribution against the values that the public library reads in
/// the interval log of the same requests: the value is the least that so many stay within.
fn check_distribution(text: &str, log: &Path, requests: u64) {
    let rows = rows_of_distribution(text);
    let printed = script(&python_with(LIBRARY), VALUES, &[log]);
    let value = |line: &str| -> (f64, u64) {
        let (ms, count) = line.split_once(' ').expect("two numbers");
        (ms.parse().expect("a time"), count.parse().expect("a count"))
    };
    let values: Vec<(f64, u64)> = printed.lines().map(value).collect();
    for (ms, quantile, count) in &rows {
        let at = values.iter().position(|(_, within)| within == count);
        let at = at.unwrap_or_else(|| panic!("{count} within no value: {values:?}"));
        let us = |ms: f64| (ms * 1e3).round() as u64;
        assert!(alike(us(*ms), us(values[at].0)), "{quantile}: {ms}");
        let below = at.checked_sub(1).map_or(0, |before| values[before].1);
        // Steps are sums of binary fractions: a whole number of requests may be a hair more.
        let is_it = [-1e-6, 1e-6].into_iter().any(|hair| {
            let wanted = (quantile * requests as f64 + hair).ceil() as u64;
            (below + 1..=*count).contains(&wanted.clamp(1, requests))
        });
        assert!(is_it, "{quantile}: {ms}, {count} requests, {below} below");
    }
    assert!(rows.len() > 20, "{rows:?}");
    assert_eq!(rows.last().map(|row| (row.1, row.2)), Some((1.0, requests)));
}

/// Fails if `text::render` describes a counter by a name without `_total` (as OpenMetrics does),
/// leaves a help text out, or writes buckets that do not add up.
#[test]
fn promtool_accepts_the_metrics_and_their_numbers_are_those_recorded() {
    let site = Site::new();
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let code = CommissioningCode::parse(&site.code("asks for metrics")).expect("a code");
    let mut device: Device = site.device("front");
    for attempt in 0..30 {
        device.access(&face(1 + attempt % 3));
    }
    // A second later at most, the loop hands its interval over.
    let granted = r#"cardea_access_answers_total{reason="granted"} "#;
    let text = loop {
        let text = metrics(&server, &code);
        if value(&text, granted) == Some(10.0) {
            break text;
        }
        // Each answer takes a moment; many of them make a second.
        (0..200).for_each(|_| assert_eq!(device.heartbeat().0, 200));
    };
    server.stop();

    let (accepted, said) = promtool(&text);
    assert!(accepted, "{said}\n{text}");
    for (name, due) in [
        (r#"cardea_access_answers_total{reason="no match"} "#, 20.0),
        (r#"cardea_access_stage_seconds_count{stage="total"} "#, 30.0),
        (
            r#"cardea_access_stage_seconds_count{stage="search"} "#,
            30.0,
        ),
        ("cardea_people ", 1.0),
        ("cardea_commissionings_total ", 1.0),
    ] {
        assert_eq!(value(&text, name), Some(due), "{name}\n{text}");
    }
    let logged = read_by_cardea(&site)["total"];
    assert_eq!(logged[0], 30, "the log says as many");
    for (bound, us) in [("0.001", 1_000), ("0.01", 10_000), ("0.1", 100_000)] {
        let name = format!("cardea_access_stage_seconds_bucket{{le=\"{bound}\",stage=\"total\"}} ");
        let below = value(&text, &name).expect("a bucket");
        if below == 30.0 {
            assert!(logged[4] <= us + us / 500, "{bound}: {logged:?}");
        }
        if logged[4] <= us {
            assert!(below >= 30.0, "{bound}: {below} {logged:?}");
        }
    }
    // It is no tool that accepts anything.
    let unhelped = text.replacen("# HELP cardea_people ", "# HELP cardea_folk ", 1);
    assert!(!promtool(&unhelped).0, "a metric without help");
    let broken = text.replacen("} 20", "} twenty", 1);
    assert!(!promtool(&broken).0, "a value that is none");
}

/// Whether Prometheus' own tool has nothing to say against this text, and what it says.
fn promtool(text: &str) -> (bool, String) {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool (Debian: prometheus): {error}"));
    let mut stdin = tool.stdin.take().expect("it was asked for");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = tool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// What `/metrics` shows.
fn metrics(server: &Server, code: &CommissioningCode) -> String {
    let config = tls::uncommissioned(code.site_ca_sha256).expect("a configuration");
    let mut stranger = Raw::connect(config, server.address);
    let question = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stranger.send(question).expect("the server reads");
    let answer = stranger.read_to_end().expect("the server answers");
    assert_eq!(status(&answer), Some(200));
    let text = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

/// The value of a metric's line.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok())
}
