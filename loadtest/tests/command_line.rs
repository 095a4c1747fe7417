//! The program as people use it: files, exit statuses, reports.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cardea_loadtest::limits::REPORT_BYTES_MAX;
use cardea_loadtest::mirror::{Mirror, true_answers};
use cardea_loadtest::probes::{Known, Match, Origin, Person, ProbeKind, Probes};
use serde_json::Value;
use tempfile::TempDir;

/// A mirror, and a folder with codes and probes for it.
struct Site {
    mirror: Mirror,
    folder: TempDir,
}

fn probes() -> Probes {
    let origin = Origin {
        seed: 1,
        people: 8,
        threshold: 0.41,
        model: [1; 16],
    };
    let known = |number: u8| {
        let person = Person {
            tag: u64::from(number),
            external_id: format!("p-{number}"),
        };
        Known {
            kind: ProbeKind::Mated,
            answer: Some(Match {
                person: person.clone(),
                score_bits: 0.6_f32.to_bits(),
            }),
            truth: Some(person),
            granted: Some(true),
        }
    };
    let rows = (1..=8).map(|number| ([number; 2_048], known(number)));
    Probes::new(origin, rows.collect()).expect("eight probes")
}

impl Site {
    fn new() -> Self {
        let probes = probes();
        let mirror = Mirror::start(true_answers(&probes)).expect("a mirror");
        let folder = tempfile::tempdir().expect("a folder");
        let codes: String = (0..8)
            .map(|number| format!("device-{number}\t{}\n", mirror.code("door").to_text()))
            .collect();
        fs::write(folder.path().join("codes"), codes).expect("written");
        let mut bytes = Vec::new();
        probes.write(&mut bytes).expect("memory");
        fs::write(folder.path().join("probes"), bytes).expect("written");
        let site = Self { mirror, folder };
        let commissioned = site.call("commission --codes codes --identities ids");
        assert_eq!(
            commissioned.status.code(),
            Some(0),
            "{}",
            errors(&commissioned)
        );
        site
    }

    /// Calls the program in the folder.
    fn call(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("the program runs")
    }

    fn run(&self, arguments: &str) -> Output {
        let run = "run --identities ids --probes probes --window 200ms";
        self.call(&format!("{run} {arguments}"))
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).expect("a file")
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_exit_status_says_whether_the_assertions_hold() {
    let site = Site::new();
    let held = site.run("--requests 40 --assert p100<=10s,wrong=0,errors=0,refused=0,granted=40");
    assert_eq!(held.status.code(), Some(0), "{}", errors(&held));
    let text = String::from_utf8_lossy(&held.stdout);
    assert!(text.contains("verdict: all assertions hold"), "{text}");
    let failed = site.run("--requests 8 --assert granted=9");
    assert_eq!(failed.status.code(), Some(1));
    for wrong in [
        "--assert p100<=2",
        "--assert nonsense=0",
        "--devices 9",
        "--lanes warm",
        "--server 192.0.2.1:443",
        "--plan absent.json",
    ] {
        let output = site.run(wrong);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong}: {}",
            errors(&output)
        );
        assert!(!errors(&output).is_empty(), "{wrong} says why");
    }
    let no_server = site.run("--server 127.0.0.1:1");
    assert_eq!(no_server.status.code(), Some(1));
    assert!(errors(&no_server).contains("could not be prepared"));
}

#[test]
fn reports_are_written_and_agree_with_each_other() {
    let site = Site::new();
    let files = "--json r.json --hgrm r.hgrm --hlog r.hlog --svg r.svg";
    let output = site.run(&format!(
        "--requests 40 --lanes kept-alive=50,cold=50 {files}"
    ));
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));

    let report: Value = serde_json::from_str(&site.file("r.json")).expect("JSON");
    let number = |place: &str| report.pointer(place).and_then(Value::as_u64);
    assert_eq!(number("/all/requests"), Some(40));
    assert_eq!(number("/lanes/cold/handshake/count"), Some(20));
    assert_eq!(number("/wrong"), Some(0));
    assert_eq!(number("/plan/seed"), Some(1));
    assert_eq!(report["plan"]["segments"][1]["lane"], "cold");
    assert_eq!(number("/probes/people"), Some(8));
    assert_eq!(report["worst"].as_array().map(Vec::len), Some(10));
    let max_us = number("/all/response/p100").expect("a maximum");
    assert_eq!(
        report
            .pointer("/worst/0/response_us")
            .and_then(Value::as_u64),
        Some(max_us)
    );

    let hgrm = site.file("r.hgrm");
    let max = format!(
        "#[Max     = {:12.3}, Total count    =           40]",
        max_us as f64 / 1e3
    );
    assert!(hgrm.contains(&max), "{hgrm}");
    let hlog = site.file("r.hlog");
    assert!(
        hlog.starts_with("#[Histogram log format version 1.3]\n"),
        "{hlog}"
    );
    assert!(
        hlog.lines().any(|line| line.starts_with("Tag=cold,")),
        "{hlog}"
    );
    assert!(site.file("r.svg").starts_with("<svg"));
}

#[test]
fn a_mixed_plan_gives_each_segment_its_devices() {
    let site = Site::new();
    let plan = r#"[
        {"shape": "uniform", "requests": 30, "window_s": 0.2, "devices": 5, "lane": "kept-alive"},
        {"shape": "burst", "requests": 3, "from_s": 0.1, "window_s": 0, "devices": 3,
         "lane": "cold"}
    ]"#;
    fs::write(site.folder.path().join("plan.json"), plan).expect("written");
    let mixed = "run --identities ids --probes probes --plan plan.json --json r.json";
    let output = site.call(mixed);
    assert_ne!(output.status.code(), Some(2), "{}", errors(&output));
    let report: Value = serde_json::from_str(&site.file("r.json")).expect("JSON");
    assert_eq!(report["lanes"]["kept-alive"]["requests"], 30);
    assert_eq!(report["lanes"]["cold"]["requests"], 3);
}

#[test]
fn a_ramp_tells_the_rate_that_holds_and_compare_holds_two_runs_against_each_other() {
    let site = Site::new();
    let ramp = "ramp --identities ids --probes probes --from 50 --factor 2 --steps 2 --step 200ms \
                --assert wrong=0,errors=0 --csv steps.csv --at-least 100";
    let output = site.call(ramp);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", errors(&output));
    assert!(
        text.contains("no knee: 100 requests a second still hold"),
        "{text}"
    );
    assert_eq!(site.file("steps.csv").lines().count(), 3);
    let too_much = site.call(&ramp.replace("--at-least 100", "--at-least 101"));
    assert_eq!(too_much.status.code(), Some(1));

    for name in ["a.json", "b.json"] {
        let output = site.run(&format!("--requests 20 --json {name}"));
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    }
    let same = site.call("compare --a a.json --b a.json --at-most p99=1.0");
    assert_eq!(same.status.code(), Some(0), "{}", errors(&same));
    let text = String::from_utf8_lossy(&same.stdout).into_owned();
    assert!(
        text.contains("alike") && text.contains("holds  p99"),
        "{text}"
    );
    let below = site.call("compare --a a.json --b b.json --at-most p99=0.000001");
    assert_eq!(below.status.code(), Some(1));
    let long = fs::File::create(site.folder.path().join("long.json")).expect("a file");
    long.set_len(REPORT_BYTES_MAX + 1).expect("a sparse file");
    let too_long = site.call("compare --a a.json --b long.json");
    assert_eq!(too_long.status.code(), Some(2));
    assert!(
        errors(&too_long).contains("longer than"),
        "{}",
        errors(&too_long)
    );
    let unpaired = site.call("compare --a a.json b.json --b b.json");
    assert_eq!(unpaired.status.code(), Some(2));
}

#[test]
fn a_burst_that_the_generator_cannot_send_at_once_is_void() {
    let site = Site::new();
    let identities = site.folder.path().join("ids");
    let one = identities.join("000000.identity");
    for number in 8..400 {
        fs::copy(&one, identities.join(format!("{number:06}.identity"))).expect("a copy");
    }
    // Four hundred connections and client hellos take far longer than 5 ms.
    let output = site.run("--shape burst --lanes cold --assert p100<=60s");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}{}", errors(&output));
    assert!(text.contains("VOID: the starts of a burst lie"), "{text}");
}

#[test]
fn a_foreign_code_is_refused_before_anything_is_sent() {
    let site = Site::new();
    let mut code = site.mirror.code("door");
    code.server = std::net::SocketAddr::from(([192, 0, 2, 1], 443));
    let path: &Path = site.folder.path();
    fs::write(path.join("foreign"), code.to_text()).expect("written");
    let output = site.call("commission --codes foreign --identities ids");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("--yes-really"),
        "{}",
        errors(&output)
    );
}
