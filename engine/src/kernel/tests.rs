//! One runner for every tier, against the scalar specification.

use super::*;
use crate::Threshold;
use crate::int8::{Int8Norm, quantise};
use crate::synthetic::{Shape, Synthetic};

/// Every tier but the specification; says which this CPU cannot run.
fn tiers() -> Vec<Kernel> {
    let names = Kernel::names().filter(|name| *name != "scalar");
    names
        .filter_map(|name| match Kernel::by_name(name) {
            Ok(kernel) => Some(kernel),
            Err(why) => {
                println!("skipped: {why}");
                None
            }
        })
        .collect()
}

fn scalar() -> Kernel {
    Kernel::by_name("scalar").expect("every CPU has it")
}

fn int8_survivors(kernel: Kernel, rows: Int8Rows<'_>, probes: &[Int8Probe]) -> Vec<Survivor> {
    let mut survivors = Vec::new();
    kernel.run(Work::Int8(Int8Scan {
        rows,
        probes,
        survivors: &mut survivors,
    }));
    survivors
}

#[test]
fn int8_keeps_the_same_rows_on_every_tier() {
    for shape in [Shape::Realistic, Shape::Isotropic] {
        let people = Synthetic::new(11, shape);
        let rows: Vec<_> = (0..257)
            .map(|p| quantise(people.reference(p, 0).as_array()))
            .collect();
        let codes: Vec<[i8; DIM]> = rows.iter().map(|row| row.0).collect();
        let norms: Vec<Int8Norm> = rows.iter().map(|row| row.1).collect();
        for batch in [1, 2, 3, 4, 5, 63, 64] {
            let threshold = Threshold::new(0.05).expect("in range");
            let probes: Vec<_> = (0..batch)
                .map(|p| Int8Probe::new(people.reference(p * 3, 1).as_array(), threshold, 0.0))
                .collect();
            let rows = Int8Rows {
                codes: &codes,
                norms: &norms,
            };
            let expected = int8_survivors(scalar(), rows, &probes);
            assert!(!expected.is_empty() && expected.len() < 257 * probes.len());
            for kernel in tiers() {
                assert_eq!(
                    int8_survivors(kernel, rows, &probes),
                    expected,
                    "{kernel:?} {batch}"
                );
            }
        }
    }
}

#[test]
fn int8_extremes_do_not_saturate() {
    // All of one sign, alternating, and all zero: the largest sums, and the pairs that saturate
    // first if anything does. With scale 1, residual 0 and this probe, a row is kept or not by
    // its exact dot product.
    let patterns: [fn(usize) -> i8; 5] = [
        |_| 127,
        |_| -127,
        |i| if i % 2 == 0 { 127 } else { -127 },
        |_| 0,
        |i| (i % 7) as i8 - 3,
    ];
    let codes = patterns.map(std::array::from_fn::<i8, DIM, _>);
    let mut flat = [1.0f32 / 512.0f32.sqrt(); DIM];
    let threshold = Threshold::new(1e-3).expect("in range");
    for sign in [1.0, -1.0] {
        flat.iter_mut().for_each(|x| *x *= sign);
        let probes = vec![Int8Probe::new(&flat, threshold, 0.0); 5];
        for scale in [1.0, 1e-3, 6.2e-7] {
            let norms = [Int8Norm {
                scale,
                residual: 0.0,
            }; 5];
            let rows = Int8Rows {
                codes: &codes,
                norms: &norms,
            };
            let expected = int8_survivors(scalar(), rows, &probes);
            for kernel in tiers() {
                assert_eq!(
                    int8_survivors(kernel, rows, &probes),
                    expected,
                    "{kernel:?}"
                );
            }
        }
    }
}

#[test]
fn f32_scores_have_the_same_bits_on_every_tier() {
    let people = Synthetic::new(5, Shape::Realistic);
    for (rows, probes) in [(1, 1), (4, 3), (7, 5), (33, 64)] {
        let rows: Vec<_> = (0..rows).map(|p| people.reference(p, 0)).collect();
        let probes: Vec<_> = (0..probes).map(|p| people.reference(p, 1)).collect();
        let rows: Vec<&[f32; DIM]> = rows.iter().map(|row| row.as_array()).collect();
        let probes: Vec<&[f32; DIM]> = probes.iter().map(|probe| probe.as_array()).collect();
        let run = |kernel: Kernel| {
            let mut scores = vec![f32::NAN; rows.len() * probes.len()];
            kernel.run(Work::Scores(Scores {
                rows: &rows,
                probes: &probes,
                scores: &mut scores,
            }));
            scores
                .iter()
                .map(|score| score.to_bits())
                .collect::<Vec<_>>()
        };
        for kernel in tiers() {
            assert_eq!(run(kernel), run(scalar()), "{kernel:?}");
        }
    }
}

#[test]
fn names_and_messages() {
    assert_eq!(Kernel::by_name("scalar").map(Kernel::name), Ok("scalar"));
    let unknown = Kernel::by_name("mmx").map(Kernel::name);
    assert!(unknown.is_err_and(|why| why.to_string().contains("avx2")));
    let missing = KernelError::Missing {
        kernel: "avx2",
        feature: "avx2",
    };
    assert!(missing.to_string().contains("virtual machine"));
}
