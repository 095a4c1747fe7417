//! Synthetic galleries kept between runs, and the probes that are asked.

use cardea_engine::gallery::Writer;
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Embedding, Gallery, ModelId, View};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// The model of all synthetic galleries.
const MODEL: ModelId = ModelId(*b"synthetic model.");
/// Everything follows from it.
pub const SEED: u64 = 2026;

/// A view of `rows` people; the file in `folder` is used again if it opens.
pub fn view(folder: &Path, shape: Shape, rows: u64) -> Result<View, Box<dyn Error>> {
    let path = folder.join(format!("{shape:?}-{rows}.cardea").to_lowercase());
    if let Ok(gallery) = Gallery::open(&path) {
        return Ok(View::of_snapshot(Arc::new(gallery)));
    }
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    std::fs::create_dir_all(folder)?;
    eprintln!("writing {} ..", path.display());
    let people = Synthetic::new(SEED, shape);
    let mut writer = Writer::create(&path, MODEL, 1, rows)?;
    for person in 0..rows {
        writer.push(&people.row(person))?;
    }
    writer.finish()?;
    Ok(View::of_snapshot(Arc::new(Gallery::open(&path)?)))
}

/// Probe `number` of an endless list: mated, near the threshold, strangers.
pub fn probe(people: &Synthetic, rows: u64, threshold: f32, number: u64) -> Embedding {
    // A multiplier prime to any number of rows in use spreads the people asked for.
    let person = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows;
    match number % 4 {
        0 | 1 => people.mated_probe(person, number),
        2 => {
            let off = (number / 4 % 201) as f64 - 100.0;
            people.probe_at(person, number, f64::from(threshold) + off * 1e-8)
        }
        _ => people.stranger(number),
    }
}

/// Probes `from..from + count`.
pub fn probes(shape: Shape, rows: u64, threshold: f32, from: u64, count: u64) -> Vec<Embedding> {
    let people = Synthetic::new(SEED, shape);
    (from..from + count)
        .map(|number| probe(&people, rows, threshold, number))
        .collect()
}
