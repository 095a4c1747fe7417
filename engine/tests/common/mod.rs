//! Galleries with everything in them that could trip a search.
#![allow(dead_code)]

use cardea_engine::gallery::{Writer, file_name};
use cardea_engine::synthetic::{Shape, Stream, Synthetic};
use cardea_engine::{
    DIM, Embedding, Gallery, ModelId, PersonId, ReferenceId, Row, Threshold, View,
};
use std::path::Path;
use std::sync::Arc;

pub(crate) const MODEL: ModelId = ModelId(*b"model of a test.");

/// Rows by rising id: persons of one to three references, near-twins, exact duplicates of other
/// persons, and degenerate rows (one component, two values).
pub(crate) fn rows(people: &Synthetic, count: usize) -> Vec<Row> {
    let mut dice = Stream::new(count as u64);
    let mut rows: Vec<Row> = Vec::with_capacity(count);
    let mut person = 0;
    while rows.len() < count {
        person += 1;
        for index in 0..1 + dice.below(3).saturating_sub(1) {
            let embedding = match dice.below(60) {
                0 if !rows.is_empty() => rows[dice.below(rows.len() as u64) as usize]
                    .embedding
                    .clone(),
                1 => one_hot(dice.below(DIM as u64) as usize),
                2 => two_valued(person),
                3 => people.probe_at(dice.below(person), 9, 0.9999),
                _ => people.reference(person, index),
            };
            // Ids rise with gaps.
            let reference = ReferenceId(rows.len() as u64 * 3 + dice.below(3));
            rows.push(Row {
                reference,
                person: PersonId(person),
                embedding,
            });
        }
    }
    rows.truncate(count);
    rows
}

pub(crate) fn one_hot(component: usize) -> Embedding {
    let mut x = [0.0; DIM];
    x[component] = if component.is_multiple_of(2) {
        1.0
    } else {
        -1.0
    };
    Embedding::new(&x).expect("unit length")
}

fn two_valued(seed: u64) -> Embedding {
    let mut bits = Stream::new(seed);
    let value = 1.0 / (DIM as f32).sqrt();
    let x: Vec<f32> = (0..DIM)
        .map(|_| if bits.bits() & 1 == 0 { value } else { -value })
        .collect();
    Embedding::new(&x).expect("unit length")
}

/// Probes: mated, strangers, a stored reference itself, its negative, degenerate ones.
pub(crate) fn probes(people: &Synthetic, rows: &[Row], count: usize) -> Vec<Embedding> {
    let mut dice = Stream::new(7 + rows.len() as u64);
    let any = |dice: &mut Stream| &rows[dice.below(rows.len() as u64) as usize];
    let probe = |number: usize| match number % 8 {
        0..3 => people.mated_probe(any(&mut dice).person.0, number as u64),
        3 | 4 => people.stranger(number as u64),
        5 => any(&mut dice).embedding.clone(),
        6 => people.probe_at(any(&mut dice).person.0, number as u64, 0.42),
        _ => {
            let negative: Vec<f32> = any(&mut dice)
                .embedding
                .as_slice()
                .iter()
                .map(|x| -x)
                .collect();
            Embedding::new(&negative).expect("unit length")
        }
    };
    (0..count).map(probe).collect()
}

pub(crate) fn write_gallery(folder: &Path, generation: u64, rows: &[Row]) -> Arc<Gallery> {
    let path = folder.join(file_name(generation));
    let writer = Writer::create(&path, MODEL, generation, rows.len() as u64);
    let mut writer = writer.expect("created");
    rows.iter()
        .for_each(|row| writer.push(row).expect("pushed"));
    writer.finish().expect("finished");
    Arc::new(Gallery::open(&path).expect("opened"))
}

/// A view with the first rows in a snapshot, the others in the overlay, and some withdrawn from
/// both; and the rows that are left.
pub(crate) fn mixed_view(folder: &Path, rows: &[Row], snapshot_rows: usize) -> (View, Vec<Row>) {
    let (snapshot, overlay) = rows.split_at(snapshot_rows);
    let mut view = View::of_snapshot(write_gallery(folder, 5, snapshot));
    for (number, rows) in overlay.chunks(777).enumerate() {
        view = view
            .with_enrolled(rows, 6 + number as u64)
            .expect("enrolled");
    }
    let (gone, left): (Vec<_>, Vec<_>) = rows
        .iter()
        .cloned()
        .enumerate()
        .partition(|(number, _)| number % 13 == 5);
    let gone: Vec<ReferenceId> = gone.into_iter().map(|(_, row)| row.reference).collect();
    let view = view.with_withdrawn(&gone, 1_000_000).expect("withdrawn");
    (view, left.into_iter().map(|(_, row)| row).collect())
}

pub(crate) fn threshold(score: f32) -> Threshold {
    Threshold::new(score).expect("in range")
}

pub(crate) const SHAPES: [Shape; 2] = [Shape::Realistic, Shape::Isotropic];
