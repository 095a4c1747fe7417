//! A few hundred schedules of each model; `CARDEA_SCHEDULES=N` runs N times as many.

use std::fs::OpenOptions;
use std::io::Write as _;

use cardea_model::models::{completions, gate, handover, publish, work};

/// Runs a model, and adds a line to the results page where one is asked for.
fn run(what: &str, model: impl Fn(usize) -> usize, count: usize) {
    let times = std::env::var("CARDEA_SCHEDULES").ok();
    let times = times.and_then(|times| times.parse().ok()).unwrap_or(1);
    let tried = model(count * times);
    println!("{what}: {tried} schedules");
    assert!(tried >= count);
    let Ok(path) = std::env::var("CARDEA_RESULTS") else {
        return;
    };
    let line = format!(
        "{{\"area\":\"concurrency\",\"what\":\"schedules: {what}\",\"tried\":{tried},\"wrong\":0}}\n"
    );
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the page can be written");
}

#[test]
fn no_result_waits_unrung() {
    run("completions", completions::run, 2_000);
}

#[test]
fn nothing_is_sent_after_the_device_was_told() {
    run("gate to Space", gate::run, 2_000);
}

#[test]
fn every_count_comes_to_the_totals_once() {
    run("hand-over of histograms", handover::run, 200);
}

#[test]
fn every_probe_is_answered_once_from_a_view_no_older() {
    run("work queue", work::run, 500);
}

#[test]
fn nobody_sees_half_of_a_change() {
    run("publishing of views", publish::run, 100);
}
