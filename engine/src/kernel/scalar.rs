//! The scalar tier: the specification that every other tier equals bit for bit.

use super::{Int8Scan, PEAK_CHAINS, PlaneScan, Scores, Survivor, Work};
use crate::DIM;
use crate::plane::{BLOCK_ROWS, GROUP4, Geometry, Line, PlaneProbe};
use crate::score::dot;
use std::hint::black_box;

/// The tier's entry.
pub(super) fn run(work: Work<'_>) {
    match work {
        Work::Int8(scan) => int8(scan),
        Work::Plane(scan, _) => plane(scan),
        Work::Peak(rounds) => peak(rounds),
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

fn plane(
    PlaneScan {
        plane,
        probes,
        survivors,
        then,
    }: PlaneScan<'_>,
) {
    let start = survivors.len();
    let blocks = plane
        .lines
        .chunks_exact(plane.geometry.lines())
        .zip(plane.numbers);
    for (block, (lines, numbers)) in blocks.enumerate() {
        for (number, probe) in probes.iter().enumerate() {
            let reaches =
                |&row: &usize| plane_sum(plane.geometry, lines, numbers, row, probe) >= probe.floor;
            let mask = (0..BLOCK_ROWS)
                .filter(reaches)
                .fold(0, |mask, row| mask | 1 << row);
            PlaneScan::keep(survivors, plane.rows, block, number, mask);
        }
    }
    if let Some(mut then) = then {
        then.retain(survivors, start, |row, probe| int8_dot(row, &probe.codes));
    }
}

/// The integer `I` of one row of a block, as `crate::plane` defines it.
fn plane_sum(
    geometry: Geometry,
    lines: &[Line],
    numbers: &Line,
    row: usize,
    probe: &PlaneProbe,
) -> i32 {
    let numbers = (0..4).fold(0, |sum, i| {
        sum + i32::from(numbers[row * 4 + i]) * i32::from(probe.weights[i])
    });
    if geometry.is_batch() {
        let dims = (0..geometry.dims6).map(|dim| {
            let code = i32::from(lines[dim / 4][row * 4 + dim % 4]);
            (code * i32::from(probe.codes[dim])) << probe.shifts[dim / GROUP4]
        });
        return numbers + dims.sum::<i32>();
    }
    let lines4 = geometry.dims4 / 8;
    let mut sum = numbers;
    for (at, line) in lines.iter().enumerate() {
        let bits = if at < lines4 { 4 } else { 2 };
        let group = if at < lines4 {
            at / 4
        } else {
            lines4 / 4 + (at - lines4) / 4
        };
        let first = if at < lines4 {
            at * 8
        } else {
            lines4 * 8 + (at - lines4) * 16
        };
        let mut of_line = 0;
        for part in 0..8 / bits {
            for byte in 0..4 {
                let code = line[row * 4 + byte] >> (part * bits) & ((1 << bits) - 1);
                of_line += i32::from(code) * i32::from(probe.codes[first + part * 4 + byte]);
            }
        }
        sum += of_line << probe.shifts[group];
    }
    sum
}

/// One product and one addition a chain and round.
fn peak(rounds: u32) {
    let mut sums = [black_box(1u32); PEAK_CHAINS];
    for _ in 0..rounds {
        sums.iter_mut()
            .for_each(|sum| *sum = sum.wrapping_mul(*sum).wrapping_add(3));
    }
    black_box(sums);
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
