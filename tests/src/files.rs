//! Files to import.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::face::{Face, numbers};

/// A line of a JSON Lines file.
#[must_use]
pub fn json_line(external_id: &str, doors: &str, face: &Face) -> String {
    json!({
        "external_id": external_id,
        "name": format!("Name of {external_id}"),
        "doors": doors,
        "policy_version": "1",
        "consented_at": "2026-01-01T00:00:00Z",
        "embeddings": [numbers(face)],
    })
    .to_string()
}

/// Writes lines.
///
/// # Panics
/// If the file cannot be written.
pub fn write_lines(path: &Path, lines: &[String]) {
    fs::write(path, lines.join("\n") + "\n").expect("written");
}

/// Writes a CSV of people, and their embeddings beside it as `.npy`.
///
/// # Panics
/// If a file cannot be written.
pub fn write_csv(csv: &Path, npy: &Path, people: &[(&str, Face)]) {
    let mut table = "external_id,name,doors,policy_version,consented_at\n".to_owned();
    for (external_id, _) in people {
        table.push_str(&format!("{external_id},Name,*,1,2026-01-01T00:00:00Z\n"));
    }
    fs::write(csv, table).expect("written");
    let rows = people.len();
    let mut head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 512), }}");
    while (head.len() + 11) % 64 != 0 {
        head.push(' ');
    }
    head.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let length = u16::try_from(head.len()).expect("a short head");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(head.as_bytes());
    people
        .iter()
        .for_each(|(_, face)| bytes.extend_from_slice(face));
    fs::write(npy, bytes).expect("written");
}
