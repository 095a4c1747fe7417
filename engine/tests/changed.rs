//! A file that is changed under its map, by a foreign hand or a failing disk: what was checked
//! before is checked again, and then no search is answered from it.

mod common;

use cardea_engine::limits::RECHECK_BLOCKS;
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Gallery, GalleryError, Kernel, Row, SearchError, Searcher, View, oracle};
use cardea_results::record;
use common::*;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Codes of more blocks than one call looks at.
const ROWS: u64 = RECHECK_BLOCKS * 128 + 300;

fn round(gallery: &Gallery) -> Result<u64, GalleryError> {
    let (mut from, mut calls) = (0, 0);
    loop {
        from = gallery.recheck(from)?;
        calls += 1;
        if from == 0 {
            return Ok(calls);
        }
    }
}

/// Fails if `recheck` leaves a section out, stops early, or does not clear what it knows of the
/// embeddings; or if `Searcher::search` does not ask whether the gallery is sound.
#[test]
fn what_is_changed_under_the_map_is_refused() {
    let own = std::env::current_exe().expect("has a path");
    let folder = tempfile::tempdir_in(own.parent().expect("in a folder")).expect("a folder");
    let people = Synthetic::new(5, Shape::Isotropic);
    let rows: Vec<Row> = (0..ROWS).map(|person| people.row(person)).collect();
    let gallery = write_gallery(folder.path(), 1, &rows);
    let path = gallery.path().to_owned();
    drop(gallery);
    let good = std::fs::read(&path).expect("read");
    let file = OpenOptions::new().write(true).open(&path).expect("opened");
    let searcher = Searcher::new(Kernel::best().expect("avx2"), 2).expect("threads");
    let last = rows.len() - 1;
    let probes = [rows[last].embedding.clone()];
    let right = oracle::exhaustive(&rows, &probes, threshold(0.41));
    let u64_at = |at: usize| u64::from_le_bytes(good[at..at + 8].try_into().expect("8 bytes"));
    let mut tried = 0;
    for entry in (64..64 + 9 * 64).step_by(64) {
        let name: [u8; 4] = good[entry..entry + 4].try_into().expect("4 bytes");
        // The plane is copied when the file is opened: its bytes are not read again.
        if name == *b"f32r" || !b"refspersi8cdi8nm".chunks(4).any(|mapped| name == *mapped) {
            continue;
        }
        let (offset, length) = (u64_at(entry + 8), u64_at(entry + 16));
        for at in [offset, offset + length / 2, offset + length - 1] {
            let gallery = Arc::new(Gallery::open(&path).expect("sound"));
            assert!(round(&gallery).expect("still sound") > 1, "several calls");
            let view = View::of_snapshot(Arc::clone(&gallery));
            let found = searcher.search(&view, &probes, threshold(0.41));
            assert_eq!(found.expect("an answer"), right);
            let byte = good[at as usize];
            file.write_all_at(&[byte ^ 4], at).expect("changed");
            let seen = round(&gallery);
            assert!(
                matches!(seen, Err(GalleryError::ChecksumMismatch { .. })),
                "{seen:?}"
            );
            let refused = searcher.search(&view, &probes, threshold(0.41));
            assert!(
                matches!(refused, Err(SearchError::Gallery(GalleryError::Changed))),
                "{refused:?}"
            );
            assert!(matches!(gallery.recheck(0), Err(GalleryError::Changed)));
            file.write_all_at(&[byte], at).expect("as it was");
            tried += 1;
        }
    }
    assert_eq!(tried, 12);
    tried += embedding_changed(&good, &file, &path, &searcher, &rows);
    let what = "a byte changed under the gallery's map: refused once seen, at most a round later";
    record("Disk", what, tried, 0);
}

/// An embedding that was scored before: the next round has it checked again.
fn embedding_changed(
    good: &[u8],
    file: &std::fs::File,
    path: &std::path::Path,
    searcher: &Searcher,
    rows: &[Row],
) -> u64 {
    let gallery = Arc::new(Gallery::open(path).expect("sound"));
    let view = View::of_snapshot(Arc::clone(&gallery));
    let last = &rows[rows.len() - 1].embedding;
    let search = || searcher.search(&view, std::slice::from_ref(last), threshold(0.41));
    assert!(search().is_ok());
    let row: Vec<u8> = last
        .as_slice()
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let at = good.windows(64).position(|window| window == &row[..64]);
    let at = at.expect("it is in the file") as u64 + 3;
    file.write_all_at(&[good[at as usize] ^ 64], at)
        .expect("changed");
    round(&gallery).expect("embeddings are not read by it");
    let refused = search();
    assert!(
        matches!(
            refused,
            Err(SearchError::Gallery(GalleryError::ChecksumMismatch { .. }))
        ),
        "{refused:?}"
    );
    file.write_all_at(&[good[at as usize]], at)
        .expect("as it was");
    1
}
