//! A gallery file that is cut under its map ends the process with its own exit code and a line
//! that names the page. Runs in a child process, on the disk's own file system.

mod common;

use cardea_engine::gallery::{GALLERY_FAULT_EXIT_CODE, install_sigbus_handler};
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Kernel, Row, Searcher, View};
use cardea_results::record;
use common::*;
use std::fs::OpenOptions;
use std::process::Command;

const FOLDER: &str = "CARDEA_TEST_SIGBUS_FOLDER";

#[test]
fn a_file_cut_under_the_map() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return child(folder.as_ref());
    }
    // Beside the test binary: the system's temporary folder may be in memory.
    let own = std::env::current_exe().expect("has a path");
    let folder = tempfile::tempdir_in(own.parent().expect("in a folder")).expect("a folder");
    let report = folder.path().join("report");
    let status = Command::new(&own)
        .args(["--exact", "a_file_cut_under_the_map"])
        .env(FOLDER, folder.path())
        .status()
        .expect("started");
    assert_eq!(status.code(), Some(GALLERY_FAULT_EXIT_CODE));
    let report = std::fs::read_to_string(report).expect("a report");
    let page = report
        .strip_prefix("cardea: gallery page ")
        .and_then(|rest| rest.split(' ').next());
    let page: usize = page
        .and_then(|page| page.parse().ok())
        .expect("names the page");
    assert!(page >= 2, "{report}");
    record(
        "Disk",
        "gallery cut under the map of a searching process: named, own status",
        1,
        0,
    );
}

fn child(folder: &std::path::Path) {
    let report = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("report"));
    install_sigbus_handler(report.expect("created").into()).expect("installed");
    let people = Synthetic::new(1, Shape::Realistic);
    let rows: Vec<Row> = (0..500).map(|person| people.row(person)).collect();
    let gallery = write_gallery(folder, 1, &rows);
    let file = OpenOptions::new()
        .write(true)
        .open(gallery.path())
        .expect("opened");
    file.set_len(2 * 4096).expect("cut");
    let searcher = Searcher::new(Kernel::best().expect("avx2"), 1).expect("threads");
    let view = View::of_snapshot(gallery);
    let probes = [people.mated_probe(499, 0)];
    let found = searcher.search(&view, &probes, threshold(0.41));
    unreachable!("searched a file that is not there: {found:?}");
}
