//! `people.npy` beside `people.csv`, as `cardea people import` reads them.
//!
//! The array is NumPy's format 1.0: little-endian f32, one row of 512 per reference, C order. Row i
//! of the table belongs to row i of the array; several rows with one external id are several
//! references of one person.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use cardea_engine::DIM;

use crate::limits::ROWS_AT_ONCE;
use crate::site::{Site, external_id, name};
use crate::threads::in_order;

const HEADER: [&str; 5] = [
    "external_id",
    "name",
    "doors",
    "policy_version",
    "consented_at",
];
const EVERY_DOOR: &str = "*";
const POLICY_VERSION: &str = "1";
const CONSENTED_AT: &str = "2026-01-01T00:00:00Z";

/// Writes both files into `folder`; `done` is told how many rows are written.
///
/// # Errors
/// The file system's.
pub(crate) fn write(
    site: &Site,
    folder: &Path,
    done: &mut dyn FnMut(u64),
) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    write_table(site, &folder.join("people.csv"))?;
    let mut out = BufWriter::new(File::create(folder.join("people.npy"))?);
    out.write_all(&npy_header(site.rows()))?;
    let pieces = site.rows().div_ceil(ROWS_AT_ONCE);
    let make = |piece: u64| -> Vec<u8> {
        let rows = piece * ROWS_AT_ONCE..((piece + 1) * ROWS_AT_ONCE).min(site.rows());
        rows.flat_map(|row| site.embedding(row).to_le_bytes())
            .collect()
    };
    let mut written = 0;
    in_order(pieces, &make, &mut |bytes: Vec<u8>| -> io::Result<()> {
        out.write_all(&bytes)?;
        written += (bytes.len() / (DIM * 4)) as u64;
        done(written);
        Ok(())
    })?;
    out.flush()?;
    Ok(())
}

fn write_table(site: &Site, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut table = csv::Writer::from_path(path)?;
    table.write_record(HEADER)?;
    for row in 0..site.rows() {
        let person = site.person_of(row);
        let (id, name) = (external_id(person), name(person));
        table.write_record([&id, &name, EVERY_DOOR, POLICY_VERSION, CONSENTED_AT])?;
    }
    table.flush()?;
    Ok(())
}

/// Magic, version 1.0, length, and a dictionary padded so that the numbers begin at a multiple of
/// 64.
fn npy_header(rows: u64) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {DIM}), }}");
    let before = 10;
    while (before + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(text.len() as u16).to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_have_a_row_per_reference() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Site::new(5, 2_100, 2, false).expect("a site");
        let mut last = 0;
        write(&site, folder.path(), &mut |done| last = done).expect("written");
        assert_eq!(last, 4_200);

        let bytes = fs::read(folder.path().join("people.npy")).expect("there");
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!(header % 64, 0);
        let text = std::str::from_utf8(&bytes[10..header]).expect("ASCII");
        assert!(text.contains("'shape': (4200, 512)") && text.ends_with('\n'));
        assert_eq!(bytes.len(), header + 4_200 * 2_048);
        for row in [0, 4_095, 4_096, 4_199] {
            let at = header + row * 2_048;
            let expected = site.embedding(row as u64).to_le_bytes();
            assert_eq!(bytes[at..at + 2_048], expected, "row {row}");
        }

        let table = fs::read_to_string(folder.path().join("people.csv")).expect("there");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4_201);
        assert_eq!(
            lines[0],
            "external_id,name,doors,policy_version,consented_at"
        );
        assert_eq!(lines[2], "P00000000,Ada Abe,*,1,2026-01-01T00:00:00Z");
    }
}
