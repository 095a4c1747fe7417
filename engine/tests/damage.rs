//! The file is an input: whatever happened to it, opening or searching gives a typed error or the
//! right answer, never a wrong one.

mod common;

use cardea_engine::erase::{self, EraseError};
use cardea_engine::gallery::{Writer, WriterError, file_len, file_name};
use cardea_engine::synthetic::{Shape, Stream, Synthetic};
use cardea_engine::{
    Gallery, GalleryError, Kernel, ReferenceId, Row, SearchError, Searcher, View, oracle,
};
use cardea_results::record;
use common::*;
use std::path::Path;
use std::sync::Arc;

const ROWS: usize = 300;

fn bytes_of_a_gallery(folder: &Path) -> (Vec<u8>, Vec<Row>) {
    let people = Synthetic::new(3, Shape::Realistic);
    let rows: Vec<Row> = (0..ROWS as u64).map(|person| people.row(person)).collect();
    let gallery = write_gallery(folder, 1, &rows);
    assert_eq!(gallery.mapped_bytes(), file_len(ROWS as u64));
    (std::fs::read(gallery.path()).expect("read"), rows)
}

/// Opens the bytes and searches for every row; `Ok` only if all answers are right.
fn use_it(folder: &Path, bytes: &[u8], rows: &[Row]) -> Result<(), GalleryError> {
    let path = written(folder, bytes);
    let view = View::of_snapshot(Arc::new(Gallery::open(&path)?));
    let searcher = Searcher::new(Kernel::best().expect("avx2"), 1).expect("threads");
    let probes: Vec<_> = rows.iter().map(|row| row.embedding.clone()).collect();
    for probes in probes.chunks(64) {
        match searcher.search(&view, probes, threshold(0.41)) {
            Ok(found) => assert_eq!(found, oracle::exhaustive(rows, probes, threshold(0.41))),
            Err(SearchError::Gallery(damage)) => return Err(damage),
            Err(other) => panic!("{other}"),
        }
    }
    Ok(())
}

#[test]
fn one_flipped_bit_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, rows) = bytes_of_a_gallery(folder.path());
    use_it(folder.path(), &good, &rows).expect("undamaged");
    let mut dice = Stream::new(1);
    // Every field of the header and the section table, and places all over the file.
    let header = (0..800).step_by(3).chain([4090, 4092, 4095]);
    let all_over = (0..400)
        .map(|_| dice.below(good.len() as u64) as usize)
        .collect::<Vec<_>>();
    let (mut refused, mut harmless) = (0, 0);
    for at in header.chain(all_over) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        match use_it(folder.path(), &bad, &rows) {
            Err(_) => refused += 1,
            // Padding between sections belongs to no block.
            Ok(()) => harmless += 1,
        }
    }
    assert!(
        refused > 10 * harmless,
        "{refused} refused, {harmless} harmless"
    );
    let what = "gallery: a bit flipped anywhere, opened and searched: refused or right";
    record("Disk", what, refused + harmless, 0);
}

#[test]
fn a_damaged_plane_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = Synthetic::new(3, Shape::Realistic);
    let rows: Vec<Row> = (0..1100).map(|person| people.row(person)).collect();
    let gallery = write_gallery(folder.path(), 1, &rows);
    let good = std::fs::read(gallery.path()).expect("read");
    use_it(folder.path(), &good, &rows).expect("undamaged");
    let u64_at = |at: usize| u64::from_le_bytes(good[at..at + 8].try_into().expect("8 bytes"));
    let mut seen = 0;
    for name in [
        b"rota", b"plan", b"plne", b"pln2", b"bpln", b"bcod", b"bnum",
    ] {
        let entry = entry_of(&good, name);
        seen += 1;
        let (offset, length) = (u64_at(entry + 8) as usize, u64_at(entry + 16) as usize);
        for at in [offset, offset + length / 2, offset + length - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(
                Gallery::open(&written(folder.path(), &bad)).is_err(),
                "{at}"
            );
        }
        // A section that claims another length, its header's checksum right.
        let bad = patched(&good, entry + 16, &(length as u64 - 64).to_le_bytes());
        assert!(Gallery::open(&written(folder.path(), &bad)).is_err());
    }
    record(
        "Disk",
        "gallery: a byte of the plane changed, or its length",
        seen * 4,
        0,
    );
}

/// Bytes beyond what the kernels' sums have room for, under checksums that are right: fails if
/// `copy` of `gallery/plane.rs` takes any byte.
#[test]
fn codes_too_large_for_a_plane_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = Synthetic::new(3, Shape::Realistic);
    let rows: Vec<Row> = (0..1100).map(|person| people.row(person)).collect();
    let good = std::fs::read(write_gallery(folder.path(), 1, &rows).path()).expect("read");
    for (name, most) in [(b"bcod", 63), (b"bnum", 127), (b"pln2", 127)] {
        for at in [0, 4_000] {
            let right = resealed(&good, name, at, most);
            Gallery::open(&written(folder.path(), &right)).expect("the largest there may be");
            let wrong = resealed(&good, name, at, most + 1);
            let refused = Gallery::open(&written(folder.path(), &wrong));
            assert!(
                matches!(refused, Err(GalleryError::Section { name: found, .. })
                if found.0 == *name)
            );
        }
    }
}

/// Sets a byte of a section's first block and makes all checksums right again, after FORMAT.md.
fn resealed(good: &[u8], name: &[u8; 4], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let entry = entry_of(good, name);
    let u64_at = |at: usize| u64::from_le_bytes(good[at..at + 8].try_into().expect("8 bytes"));
    let [offset, length, sums] = [8, 16, 24].map(|field| u64_at(entry + field) as usize);
    bytes[offset + at] = value;
    let block = 1 << 16;
    let first = &bytes[offset..offset + length.min(block)];
    let sealed = [name, &0u64.to_le_bytes()[..], &good[24..32], first].concat();
    let sum = crc32c::crc32c(&sealed).to_le_bytes();
    bytes[sums..sums + 4].copy_from_slice(&sum);
    let table = &bytes[sums..sums + length.div_ceil(block) * 4];
    let sum = crc32c::crc32c(&[&name[..], table].concat());
    patched(&bytes, entry + 40, &sum.to_le_bytes())
}

/// Where the header has a section's entry.
fn entry_of(bytes: &[u8], name: &[u8; 4]) -> usize {
    let mut entries = (64..4096).step_by(64);
    let found = entries.find(|&entry| bytes[entry..entry + 4] == *name);
    found.expect("a section of this name")
}

#[test]
fn planes_begin_at_their_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = Synthetic::new(3, Shape::Realistic);
    let rows: Vec<Row> = (0..1024).map(|person| people.row(person)).collect();
    let large = write_gallery(folder.path(), 1, &rows);
    let small = write_gallery(folder.path(), 2, &rows[1..]);
    assert!(large.prediction(threshold(0.41)).is_some() && large.plane_bytes() > 1024 * 100);
    assert!(small.prediction(threshold(0.41)).is_none() && small.plane_bytes() == 0);
    assert!(large.mapped_bytes() <= file_len(1024));
}

#[test]
fn more_galleries_than_the_handler_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = Synthetic::new(3, Shape::Realistic);
    let gallery = write_gallery(folder.path(), 1, &[people.row(1)]);
    let open = || Gallery::open(gallery.path()).expect("opened");
    let held: Vec<Gallery> = (0..cardea_engine::limits::MAPS_MAX + 1)
        .map(|_| open())
        .collect();
    assert!(held.iter().all(|gallery| gallery.rows() == 1));
}

fn written(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join("damaged");
    std::fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn cut_off_or_grown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, rows) = bytes_of_a_gallery(folder.path());
    for length in [0, 1, 4095, 4096, 4097, good.len() / 2, good.len() - 1] {
        assert!(
            use_it(folder.path(), &good[..length], &rows).is_err(),
            "{length}"
        );
    }
    let grown = [&good[..], &[0]].concat();
    assert!(matches!(
        use_it(folder.path(), &grown, &rows),
        Err(GalleryError::Length { .. })
    ));
    record("Disk", "gallery: cut off or grown", 8, 0);
}

/// Sets bytes of the header and makes its checksum right again.
fn patched(good: &[u8], at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    let checksum = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn hostile_headers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, rows) = bytes_of_a_gallery(folder.path());
    let mut tried = 0;
    for at in (12..64).chain(64..64 + 5 * 64).step_by(4) {
        for value in [0u32, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            let bad = patched(&good, at, &value.to_le_bytes());
            // Must not panic; model and reserved bytes may change without harm.
            if let Err(why) = use_it(folder.path(), &bad, &rows) {
                assert!(!why.to_string().is_empty());
            }
            tried += 1;
        }
    }
    let rows_at_most = patched(&good, 16, &u64::MAX.to_le_bytes());
    assert!(matches!(
        use_it(folder.path(), &rows_at_most, &rows),
        Err(GalleryError::Rows { .. })
    ));
    let many_sections = patched(&good, 56, &33u32.to_le_bytes());
    let refused = use_it(folder.path(), &many_sections, &rows);
    assert!(matches!(refused, Err(GalleryError::Sections { found: 33 })));
    record(
        "Disk",
        "gallery: a header that lies, its checksum right",
        tried + 2,
        0,
    );
}

#[test]
fn a_section_of_a_later_version_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, rows) = bytes_of_a_gallery(folder.path());
    let count = u32::from_le_bytes([good[56], good[57], good[58], good[59]]);
    let mut bytes = good.clone();
    let (from, to) = (64, 64 + count as usize * 64);
    bytes.copy_within(from..from + 64, to);
    bytes[to..to + 4].copy_from_slice(b"zukn");
    let bytes = patched(&bytes, 56, &(count + 1).to_le_bytes());
    use_it(folder.path(), &bytes, &rows).expect("the unknown section does not matter");
}

#[test]
fn a_writer_keeps_order_and_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = Synthetic::new(3, Shape::Realistic);
    let path = folder.path().join(file_name(1));
    let begin = |rows| Writer::create(&path, MODEL, 1, rows).expect("created");
    let mut writer = begin(2);
    writer.push(&people.row(5)).expect("pushed");
    let refused = writer.push(&people.row(5));
    assert!(matches!(
        refused,
        Err(WriterError::ReferenceOrder {
            found: ReferenceId(5),
            ..
        })
    ));
    assert!(matches!(
        writer.finish(),
        Err(WriterError::RowCount {
            expected: 2,
            found: 1
        })
    ));
    let mut writer = begin(1);
    writer.push(&people.row(5)).expect("pushed");
    assert!(matches!(
        writer.push(&people.row(6)),
        Err(WriterError::RowCount { .. })
    ));
    drop(writer);
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("listed").count(),
        0,
        "nothing left"
    );
    let many = Writer::create(&path, MODEL, 1, (1 << 27) + 1);
    assert!(matches!(many, Err(WriterError::TooManyRows { .. })));
}

#[test]
fn a_snapshot_is_never_replaced_and_erased_only_when_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = Synthetic::new(3, Shape::Realistic);
    let gallery = write_gallery(folder.path(), 1, &[people.row(1)]);
    let mut again = Writer::create(gallery.path(), MODEL, 1, 1).expect("created beside");
    again.push(&people.row(1)).expect("pushed");
    assert!(matches!(
        again.finish(),
        Err(WriterError::Io { action: "name", .. })
    ));
    let held = View::of_snapshot(Arc::clone(&gallery));
    let path = gallery.path().to_owned();
    let Err(EraseError::InUse(gallery)) = erase::retired(gallery) else {
        panic!("in use")
    };
    drop(held);
    erase::retired(gallery).expect("erased");
    assert!(!path.exists());
}
