//! A gallery of an earlier build, committed: it must open and answer, and be written again byte
//! for byte. After a deliberate change of the format, add a new file and keep this one readable.

mod common;

use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Gallery, Kernel, Row, Searcher, View, oracle};
use common::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/three-rows.cardea")
}

fn three_rows() -> Vec<Row> {
    let people = Synthetic::new(2026, Shape::Realistic);
    [10, 20, 30].map(|person| people.row(person)).into()
}

#[test]
fn opens_and_answers() {
    let view = View::of_snapshot(Arc::new(Gallery::open(&golden()).expect("opened")));
    assert_eq!(
        (view.rows(), view.generation(), view.model()),
        (3, 7, MODEL)
    );
    let rows = three_rows();
    let probes: Vec<_> = rows.iter().map(|row| row.embedding.clone()).collect();
    let searcher = Searcher::new(Kernel::best().expect("avx2"), 1).expect("threads");
    let found = searcher
        .search(&view, &probes, threshold(0.5))
        .expect("searched");
    assert_eq!(found, oracle::exhaustive(&rows, &probes, threshold(0.5)));
    assert_eq!(found[1].best().map(|best| best.person.0), Some(20));
}

#[test]
fn is_written_again_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = write_gallery(folder.path(), 7, &three_rows());
    if std::env::var_os("CARDEA_WRITE_GOLDEN").is_some() {
        std::fs::copy(written.path(), golden()).expect("copied");
    }
    let found = std::fs::read(written.path()).expect("read");
    let expected = std::fs::read(golden()).expect("read");
    let differs = found
        .iter()
        .zip(&expected)
        .position(|(found, expected)| found != expected);
    assert_eq!((differs, found.len()), (None, expected.len()));
}

/// Offsets as FORMAT.md states them, read without the engine's own parser.
#[test]
fn is_as_the_document_says() {
    let bytes = std::fs::read(golden()).expect("read");
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    assert_eq!(&bytes[..8], b"CARDEAGL");
    assert_eq!(
        (u32_at(8), u32_at(12), u64_at(16), u64_at(24)),
        (1, 512, 3, 7)
    );
    assert_eq!(
        (&bytes[32..48], u64_at(48)),
        (&MODEL.0[..], bytes.len() as u64)
    );
    assert_eq!(u32_at(4092), crc32c::crc32c(&bytes[..4092]));
    let sections = (0..u32_at(56) as usize).map(|number| 64 + number * 64);
    for entry in sections {
        let (offset, length) = (u64_at(entry + 8) as usize, u64_at(entry + 16) as usize);
        let (sums, block_len) = (u64_at(entry + 24) as usize, u32_at(entry + 32) as usize);
        let table = &bytes[sums..sums + length.div_ceil(block_len) * 4];
        let name = &bytes[entry..entry + 4];
        assert_eq!(u32_at(entry + 40), crc32c::crc32c(&[name, table].concat()));
        for (number, block) in bytes[offset..offset + length].chunks(block_len).enumerate() {
            let prefix = [name, &(number as u64).to_le_bytes(), &7u64.to_le_bytes()].concat();
            let checksum = crc32c::crc32c(&[&prefix, block].concat());
            assert_eq!(u32_at(sums + number * 4), checksum);
        }
        if name == b"f32r" {
            let first = three_rows()[0].embedding.to_le_bytes();
            assert_eq!(bytes[offset..offset + 2048], first);
        }
        if name == b"refs" {
            assert_eq!([0, 8, 16].map(|at| u64_at(offset + at)), [10, 20, 30]);
        }
    }
}
