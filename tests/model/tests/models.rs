//! A few hundred schedules of each model; `CARDEA_SCHEDULES=N` runs N times as many.

use cardea_model::models::{completions, gate, handover, publish, work};

/// Runs a model, and adds a line to the results page where one is asked for.
fn run(what: &str, model: impl Fn(usize) -> usize, count: usize) {
    let times = std::env::var("CARDEA_SCHEDULES").ok();
    let times = times.and_then(|times| times.parse().ok()).unwrap_or(1);
    let tried = model(count * times);
    println!("{what}: {tried} schedules");
    assert!(tried >= count);
    cardea_results::record(
        "Concurrency",
        &format!("schedules: {what}"),
        tried as u64,
        0,
    );
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
