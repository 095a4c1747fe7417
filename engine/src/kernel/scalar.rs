//! The scalar tier: the specification that every other tier equals bit for bit.

use super::{Int8Scan, Scores, Survivor, Work};
use crate::DIM;
use crate::score::dot;

/// The tier's entry.
pub(super) fn run(work: Work<'_>) {
    match work {
        Work::Int8(scan) => int8(scan),
        Work::Scores(scores) => self::scores(scores),
    }
}

fn int8(
    Int8Scan {
        rows,
        probes,
        survivors,
    }: Int8Scan<'_>,
) {
    for (row, (codes, &norm)) in rows.codes.iter().zip(rows.norms).enumerate() {
        for (probe, prepared) in probes.iter().enumerate() {
            if prepared.may_reach(int8_dot(codes, &prepared.codes), norm) {
                survivors.push(Survivor {
                    row: row as u32,
                    probe: probe as u32,
                });
            }
        }
    }
}

/// At most 512 * 127^2 in size, so i32 holds it.
pub(super) fn int8_dot(a: &[i8; DIM], b: &[i8; DIM]) -> i32 {
    a.iter()
        .zip(b)
        .fold(0i32, |sum, (&a, &b)| sum + i32::from(a) * i32::from(b))
}

fn scores(
    Scores {
        rows,
        probes,
        scores,
    }: Scores<'_>,
) {
    for (row, scores) in rows.iter().zip(scores.chunks_exact_mut(probes.len())) {
        for (probe, score) in probes.iter().zip(scores) {
            *score = dot(row, probe);
        }
    }
}
