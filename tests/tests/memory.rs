//! The server's memory under load and at rest; the long forms are `memory soak` and `memory idle`.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use cardea_tests::load::done;
use cardea_tests::programs::program;
use cardea_tests::results::record;

/// Each has the machine for itself.
static ONE_AFTER_THE_OTHER: Mutex<()> = Mutex::new(());

fn run(arguments: &[&str]) {
    let alone = ONE_AFTER_THE_OTHER.lock();
    let _alone = alone.unwrap_or_else(PoisonError::into_inner);
    println!("{}", done(Command::new(program("memory")).args(arguments)));
}

/// Fails if a request leaves something behind: 100 bytes a request are 3 MB in the last quarter.
#[test]
fn requests_leave_nothing_behind() {
    run(&[
        "soak",
        "requests=120000",
        "seconds=60",
        "devices=100",
        "growth=2560",
    ]);
    record(
        "Memory",
        "requests of a soak that leave nothing behind",
        120_000,
        0,
    );
}

/// Fails if a quiet connection keeps its buffers (`Session::keep` that keeps its capacity, 34 KiB):
/// 600 devices would take 20 MB more.
#[test]
fn quiet_devices_take_little() {
    run(&["idle", "devices=600", "resident=65536"]);
    record("Memory", "devices connected and quiet at once", 600, 0);
}
