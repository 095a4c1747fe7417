//! The program as people use it: files, exit statuses, reports.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cardea_loadtest::limits::REPORT_BYTES_MAX;
use cardea_loadtest::mirror::{Answers, Mirror, true_answers};
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
        Self::of(true_answers(&probes()))
    }

    fn of(answers: Box<Answers>) -> Self {
        let probes = probes();
        let mirror = Mirror::start(answers).expect("a mirror");
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

/// Fails if `Verdict::exit_code` is not the program's, or `Run::carry_out` takes what it cannot
/// read for a default.
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

/// Fails if one of the files of `Output::write` is left out or made of other figures than
/// `report::json`.
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

/// Fails if `first_device` of `Plan::new` is 0 for each segment: all devices are then kept alive.
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

/// Fails if `climb` goes on past a step that fails, or `Ramp::take_step` measures from the sending:
/// the mirror answers one after the other, so what it cannot keep up with waits.
#[test]
fn a_ramp_finds_the_knee_of_a_server_that_is_slow() {
    let (right, turn) = (true_answers(&probes()), Mutex::new(()));
    let site = Site::of(Box::new(move |request| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        // 50 a second, and no more.
        thread::park_timeout(Duration::from_millis(20));
        right(request)
    }));
    let output = site.call(
        "ramp --identities ids --probes probes --from 10 --factor 20 --steps 3 --step 1s \
         --assert p99<=1s,wrong=0 --csv steps.csv --at-least 11",
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("knee between 10 and 200 requests a second"),
        "{text}{}",
        errors(&output)
    );
    assert_eq!(output.status.code(), Some(1), "11 a second do not hold");
    let steps = site.file("steps.csv");
    let verdicts: Vec<&str> = steps
        .lines()
        .filter_map(|line| line.rsplit(',').next())
        .collect();
    assert_eq!(verdicts, ["verdict", "holds", "fails"]);
}

/// Fails if `SelfCheck::carry_out` does not wait for all answers, or the mirror that it runs
/// against gives another answer than `true_answers`. The burst is of one device: it has no spread.
#[test]
fn a_self_check_measures_the_generator_and_is_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let call = |arguments: &str| {
        Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .arg("self-check")
            .args(arguments.split_whitespace())
            .current_dir(folder.path())
            .output()
            .expect("the program runs")
    };
    let output = call("--devices 1 --requests 40 --window 300ms --json floor.json");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", errors(&output));
    assert!(
        text.contains("the floor of this program's figures"),
        "{text}"
    );
    let report = fs::read_to_string(folder.path().join("floor.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    for (place, due) in [
        ("/all/requests", 41),
        ("/all/granted", 41),
        ("/all/errors", 0),
        ("/wrong", 0),
    ] {
        let found = report.pointer(place).and_then(Value::as_u64);
        assert_eq!(found, Some(due), "{place}");
    }
    let floor_us = report.pointer("/all/response/p50").and_then(Value::as_u64);
    assert!(floor_us.is_some_and(|us| us > 0), "{floor_us:?}");
    let failed = call("--devices 1 --requests 4 --window 100ms --assert granted=4");
    assert_eq!(failed.status.code(), Some(1), "the burst counts as well");
    assert_eq!(call("--devices 513").status.code(), Some(2));
    assert_eq!(call("--devices 0").status.code(), Some(2));
}

/// Fails if `compare` judges a bound by one pair, `--at-least` is held against the rate that
/// failed, or a report of any length is read.
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
    let same = site.call("compare --a a.json b.json --b a.json b.json --at-most p99=1.0");
    assert_eq!(same.status.code(), Some(0), "{}", errors(&same));
    let text = String::from_utf8_lossy(&same.stdout).into_owned();
    assert!(
        text.contains("alike") && text.contains("holds  p99"),
        "{text}"
    );
    let below = site.call("compare --a a.json b.json --b b.json a.json --at-most p99=0.000001");
    assert_eq!(below.status.code(), Some(1));
    // One pair says nothing of a bound, whether it lies far below or far above.
    for bound in ["0.000001", "1.0", "1000000"] {
        let pair = site.call(&format!(
            "compare --a a.json --b b.json --at-most p99={bound}"
        ));
        let text = String::from_utf8_lossy(&pair.stdout).into_owned();
        assert_eq!(pair.status.code(), Some(3), "{bound}: {text}");
        assert!(text.contains("VOID: one pair knows no noise"), "{text}");
    }
    let without = site.call("compare --a a.json --b b.json");
    assert_eq!(without.status.code(), Some(0), "nothing is judged");
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

/// Fails without the line about `BURST_SPREAD_MAX_US` in `verdict::judge`.
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

/// Fails without `check_loopback` in `Commission::carry_out`.
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
