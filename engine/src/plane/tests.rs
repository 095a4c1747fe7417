//! The bound under attack: rows whose score is the threshold must be kept.

use super::*;
use crate::kernel::{Kernel, PlaneScan, Survivor, TileMemory, Work};
use crate::rotation;
use crate::score::dot;
use crate::synthetic::{Shape, Stream, Synthetic};

const GEOMETRIES: [Geometry; 8] = [
    Geometry::lone(256, 256),
    Geometry::lone(128, 256),
    Geometry::lone(128, 384),
    Geometry::lone(512, 0),
    Geometry::lone(0, 64),
    Geometry::batch(32),
    Geometry::batch(256),
    Geometry::batch(512),
];

fn turn(kernel: Kernel, matrix: &[[f32; DIM]], x: &[&[f32; DIM]]) -> Vec<[f32; DIM]> {
    let mut turned = Vec::new();
    rotation::turn(kernel, matrix, x, &mut turned);
    turned
}

/// Rows of a plane in memory.
struct Built {
    plan: Plan,
    lines: Vec<Line>,
    numbers: Vec<Line>,
    rows: usize,
    /// The largest four numbers there are, as their codes mean them.
    decoded: Vec<[f64; 4]>,
}

impl Built {
    fn new(geometry: Geometry, spectrum: &[f32; DIM], turned: &[[f32; DIM]]) -> Self {
        let mut plan = Plan::new(geometry, spectrum);
        let rows: Vec<PlaneRow> = turned.iter().map(|y| plan.quantise(y)).collect();
        let fold = |f: fn(f32, f32) -> f32, start: f32| {
            rows.iter().fold([start; 4], |all, row| {
                std::array::from_fn(|i| f(all[i], row.numbers[i]))
            })
        };
        let m2 = rows.iter().fold(0.0f32, |m2, row| m2.max(row.m2()));
        plan.set_ranges(fold(f32::min, f32::MAX), fold(f32::max, 0.0), m2);
        assert_eq!(plan.problem(), None);
        let blocks = turned.len().div_ceil(BLOCK_ROWS);
        let mut lines = vec![[0; 64]; blocks * geometry.lines()];
        let mut numbers = vec![[0; 64]; blocks];
        let mut decoded = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let (block, place) = (at / BLOCK_ROWS, at % BLOCK_ROWS);
            row.place(
                geometry,
                &mut lines[block * geometry.lines()..][..geometry.lines()],
                place,
            );
            let codes = plan.encode_numbers(row.numbers);
            numbers[block][place * 4..][..4].copy_from_slice(&codes);
            decoded.push(std::array::from_fn(|i| plan.number(i, codes[i])));
            assert!((0..4).all(|i| decoded[at][i] >= f64::from(row.numbers[i])));
        }
        Self {
            plan,
            lines,
            numbers,
            rows: turned.len(),
            decoded,
        }
    }

    fn survivors(&self, kernel: Kernel, probes: &[PlaneProbe]) -> Vec<Survivor> {
        let plane = PlaneRows {
            geometry: self.plan.geometry(),
            lines: &self.lines,
            numbers: &self.numbers,
            rows: self.rows,
        };
        let mut survivors = Vec::new();
        let scan = PlaneScan {
            plane,
            probes,
            survivors: &mut survivors,
            then: None,
        };
        kernel.run(Work::Plane(scan, &mut TileMemory::default()));
        survivors.sort();
        survivors
    }
}

fn kernels() -> Vec<Kernel> {
    let by_name = |name| {
        Kernel::by_name(name)
            .map_err(|why| println!("skipped: {why}"))
            .ok()
    };
    Kernel::names().filter_map(by_name).collect()
}

/// Rows of a gallery, degenerate ones among them, with the rotation of the sound ones.
fn rows(shape: Shape) -> (Vec<[f32; DIM]>, Vec<[f32; DIM]>, [f32; DIM]) {
    let people = Synthetic::new(6, shape);
    let mut rows: Vec<[f32; DIM]> = (0..1500)
        .map(|person| *people.reference(person, 0).as_array())
        .collect();
    let (matrix, spectrum) = rotation::of_sample(&rows);
    for component in [0, 255, 511] {
        let mut one_hot = [0.0; DIM];
        one_hot[component] = -1.0;
        rows.push(one_hot);
    }
    // The axes themselves: all of a row in one turned dimension, far outside its codes.
    rows.extend([matrix[0], matrix[127], matrix[128], matrix[511]]);
    rows.push(rows[7]);
    (rows, matrix, spectrum)
}

#[test]
fn a_row_at_the_threshold_is_kept_by_every_tier() {
    let best = Kernel::best().expect("avx2");
    for shape in [Shape::Realistic, Shape::Isotropic] {
        let people = Synthetic::new(6, shape);
        let (rows, matrix, spectrum) = rows(shape);
        let slack = rotation::slack(&matrix[..]);
        let by_ref: Vec<&[f32; DIM]> = rows.iter().collect();
        let turned = turn(best, &matrix[..], &by_ref);
        let mut probes: Vec<[f32; DIM]> = (0..3)
            .flat_map(|p| [people.mated_probe(p, 0), people.stranger(p)])
            .map(|probe| *probe.as_array())
            .collect();
        probes.extend([rows[3], rows[1500], matrix[0], matrix[300], matrix[511]]);
        for geometry in GEOMETRIES {
            let built = Built::new(geometry, &spectrum, &turned);
            for q in &probes {
                let p = turn(best, &matrix[..], &[q])[0];
                for row in (0..rows.len()).step_by(37).chain(1495..rows.len()) {
                    let Ok(at) = Threshold::new(dot(q, &rows[row])) else {
                        continue;
                    };
                    let probe = PlaneProbe::new(&built.plan, &p, at, slack);
                    let kept = built.survivors(best, std::slice::from_ref(&probe));
                    let this = Survivor {
                        row: row as u32,
                        probe: 0,
                    };
                    assert!(kept.contains(&this), "{geometry:?} {shape:?} row {row}");
                }
            }
        }
    }
}

#[test]
fn every_tier_keeps_the_same_rows_of_any_batch() {
    let best = Kernel::best().expect("avx2");
    for shape in [Shape::Realistic, Shape::Isotropic] {
        let people = Synthetic::new(6, shape);
        let (rows, matrix, spectrum) = rows(shape);
        let by_ref: Vec<&[f32; DIM]> = rows.iter().collect();
        let turned = turn(best, &matrix[..], &by_ref);
        for geometry in GEOMETRIES {
            for count in [1, 15, 16, 17, 1024 + 16 + 3, rows.len()] {
                let built = Built::new(geometry, &spectrum, &turned[..count]);
                let probes: Vec<PlaneProbe> = (0..21)
                    .map(|number| {
                        let q = people.mated_probe(number * 40, 1);
                        let p = turn(best, &matrix[..], &[q.as_array()])[0];
                        let at = Threshold::new(0.1 + 0.02 * number as f32).expect("in range");
                        PlaneProbe::new(&built.plan, &p, at, 2e-4)
                    })
                    .collect();
                let scalar = Kernel::by_name("scalar").expect("every CPU has it");
                let expected = built.survivors(scalar, &probes);
                for kernel in kernels() {
                    for batch in [1, 2, 3, 4, 7, 8, 21] {
                        let found = built.survivors(kernel, &probes[..batch]);
                        let part = expected.iter().filter(|s| (s.probe as usize) < batch);
                        assert!(found.iter().eq(part), "{kernel:?} {geometry:?} {batch}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_largest_sums_do_not_saturate() {
    // Codes of all ones and a probe of all 127 or all -127, every exponent: the worst of every
    // sum in every tier, against the scalar tier, at its exact value and one above.
    let mut dice = Stream::new(3);
    for geometry in GEOMETRIES {
        let ones = if geometry.is_batch() { 63 } else { 255 };
        let lines: Vec<Line> = (0..geometry.lines() * 3)
            .map(|line| match line / geometry.lines() {
                0 => [ones; 64],
                1 => std::array::from_fn(|byte| if byte % 2 == 0 { ones } else { 0 }),
                _ => std::array::from_fn(|_| dice.bits() as u8 & ones),
            })
            .collect();
        let numbers = [[127; 64], [0; 64], [1; 64]];
        let plane = PlaneRows {
            geometry,
            lines: &lines,
            numbers: &numbers,
            rows: 48,
        };
        let most = geometry.shift_max() as u8;
        for (code, shift) in [(127, most), (-127, most), (127, 0), (-127, 3), (5, 1)] {
            // A sum of whole groups, found by bisection through the scalar tier.
            let mut probe = PlaneProbe {
                codes: std::array::from_fn(|dim| if code == 5 && dim % 3 == 0 { -5 } else { code }),
                weights: [127; 4],
                shifts: [shift; GROUPS_MAX],
                floor: 0,
            };
            let run = |kernel: Kernel, probe: &PlaneProbe| {
                let mut survivors = Vec::new();
                let probes = vec![probe.clone(); 5];
                let scan = PlaneScan {
                    plane,
                    probes: &probes,
                    survivors: &mut survivors,
                    then: None,
                };
                kernel.run(Work::Plane(scan, &mut TileMemory::default()));
                survivors.sort();
                survivors
            };
            let scalar = Kernel::by_name("scalar").expect("every CPU has it");
            let (mut low, mut high) = (-(1 << 30), 1 << 30);
            while low + 1 < high {
                probe.floor = i32::midpoint(low, high);
                if run(scalar, &probe).is_empty() {
                    high = probe.floor
                } else {
                    low = probe.floor
                }
            }
            for floor in [low, high, 0, i32::MIN, i32::MAX] {
                probe.floor = floor;
                let expected = run(scalar, &probe);
                for kernel in kernels() {
                    assert_eq!(
                        run(kernel, &probe),
                        expected,
                        "{kernel:?} {geometry:?} {code}"
                    );
                }
            }
        }
    }
}

#[test]
fn few_rows_survive() {
    let best = Kernel::best().expect("avx2");
    let (rows, matrix, spectrum) = rows(Shape::Realistic);
    let by_ref: Vec<&[f32; DIM]> = rows.iter().collect();
    let turned = turn(best, &matrix[..], &by_ref);
    // Numbers of 1,500 rows by 50 strangers that may be left, and the first block's residual.
    for (geometry, share, residuals) in [
        (Geometry::lone(256, 256), 50, 0.07..0.13),
        (Geometry::batch(256), 50, 0.02..0.05),
    ] {
        few_survive(
            geometry,
            &matrix,
            &spectrum,
            &turned[..1500],
            share,
            residuals,
        );
    }
}

fn few_survive(
    geometry: Geometry,
    matrix: &[[f32; DIM]],
    spectrum: &[f32; DIM],
    turned: &[[f32; DIM]],
    share: usize,
    residuals: std::ops::Range<f64>,
) {
    let best = Kernel::best().expect("avx2");
    let people = Synthetic::new(6, Shape::Realistic);
    let built = Built::new(geometry, spectrum, turned);
    let at = Threshold::new(0.41).expect("in range");
    let slack = rotation::slack(matrix);
    let strangers: Vec<PlaneProbe> = (0..50)
        .map(|number| {
            let q = people.stranger(number);
            let p = turn(best, matrix, &[q.as_array()])[0];
            PlaneProbe::new(&built.plan, &p, at, slack)
        })
        .collect();
    let (kept, of) = (built.survivors(best, &strangers).len(), 50 * turned.len());
    println!("{geometry:?}: {kept} of {of} survive");
    assert!(kept < of / share, "{geometry:?}: {kept} of {of} survive");
    let residual = built.decoded.iter().map(|numbers| numbers[0]).sum::<f64>();
    let residual = residual / turned.len() as f64;
    assert!(residuals.contains(&residual), "{geometry:?}: {residual}");
}

#[test]
fn refuses_a_plan_that_no_writer_writes() {
    let good = Plan::new(Geometry::lone(256, 256), &[0.002; DIM]);
    assert_eq!(good.problem(), None);
    let edits: [fn(&mut Plan); 11] = [
        |plan| plan.dims6 = 32,
        |plan| (plan.dims6, plan.dims4, plan.dims2) = (31, 0, 0),
        |plan| plan.dims4 = 31,
        |plan| plan.dims4 = u32::MAX,
        |plan| plan.dims2 = 512,
        |plan| (plan.dims4, plan.dims2) = (0, 0),
        |plan| plan.steps[511] = 0.0,
        |plan| plan.steps[0] = f32::NAN,
        |plan| plan.spectrum[3] = f32::INFINITY,
        |plan| plan.minima[2] = -1.0,
        |plan| plan.largest_m2 = f32::NAN,
    ];
    for edit in edits {
        let mut bad = good;
        edit(&mut bad);
        assert!(bad.problem().is_some());
    }
}

#[test]
fn codes_lie_where_the_format_says() {
    let mut dice = Stream::new(9);
    for geometry in GEOMETRIES {
        let (first, most) = geometry.first_block();
        let mut row = PlaneRow {
            codes: [0; DIM],
            numbers: [0.0; 4],
            m2: 0.0,
        };
        for dim in 0..geometry.dims() {
            row.codes[dim] = dice.bits() as u8 & if dim < first { most } else { 3 };
        }
        let mut lines = vec![[0; 64]; geometry.lines()];
        row.place(geometry, &mut lines, 11);
        for (dim, &code) in row.codes[..geometry.dims()].iter().enumerate() {
            let found = if geometry.is_batch() {
                lines[dim / 4][4 * 11 + dim % 4]
            } else if dim < first {
                let byte = lines[dim / 8][4 * 11 + dim % 4];
                if dim % 8 < 4 { byte & 15 } else { byte >> 4 }
            } else {
                let at = dim - first;
                lines[first / 8 + at / 16][4 * 11 + at % 4] >> (at % 16 / 4 * 2) & 3
            };
            assert_eq!(found, code, "{geometry:?} dimension {dim}");
        }
        let others = lines.iter().flat_map(|line| line.iter().enumerate());
        assert!(
            others
                .filter(|(at, _)| at / 4 != 11)
                .all(|(_, &byte)| byte == 0)
        );
    }
}
