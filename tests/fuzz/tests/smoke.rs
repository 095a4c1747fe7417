//! A seeded smoke run of every target: its seeds, its corpus, and both damaged. `FUZZ_INPUTS=N`
//! makes it longer, `FUZZ_SEED=N` another.
//!
//! Fails if a reader panics or breaks its target's promise: try `assert!(at < 900)` in
//! `http/head.rs`, or take `text.trim()` out of `server/space/src/ext_id.rs`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cardea_fuzz::mutate::{Dice, mutated};
use cardea_fuzz::{TARGETS, Target, corpus, target};
use cardea_results::record;

/// Inputs for each target.
const INPUTS: u64 = 20_000;

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    text.parse().unwrap_or(otherwise)
}

fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let mut inputs = (target.seeds)();
    let Ok(folder) = fs::read_dir(corpus(target.name)) else {
        return inputs;
    };
    let mut files: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    files.sort();
    inputs.extend(
        files
            .iter()
            .map(|file| fs::read(file).expect("the corpus is readable")),
    );
    inputs
}

/// Runs one input; says which it was before the panic goes on.
fn run(target: &Target, input: &[u8], which: &str) {
    let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    if let Err(panic) = ran {
        eprintln!("{}: {which}: {}", target.name, input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

fn smoke(name: &str) {
    let target = target(name).expect("a target of this name");
    let inputs = inputs(target);
    for (index, input) in inputs.iter().enumerate() {
        run(target, input, &format!("input {index}"));
    }
    let (count, seed) = (number("FUZZ_INPUTS", INPUTS), number("FUZZ_SEED", 1));
    for at in 0..count {
        let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(at));
        let input = &inputs[dice.below(inputs.len())];
        let other = &inputs[dice.below(inputs.len())];
        run(
            target,
            &mutated(input, other, &mut dice),
            &format!("seed {seed}, number {at}"),
        );
    }
    println!(
        "{name}: {} inputs as they are, {count} damaged (seed {seed})",
        inputs.len()
    );
    let tried = inputs.len() as u64 + count;
    record(
        "Fuzz",
        &format!("{name}: inputs damaged from a seed"),
        tried,
        0,
    );
}

#[test]
fn http() {
    smoke("http");
}

#[test]
fn wire() {
    smoke("wire");
}

#[test]
fn gallery() {
    smoke("gallery");
}

#[test]
fn ship() {
    smoke("ship");
}

#[test]
fn events() {
    smoke("events");
}

#[test]
fn commands() {
    smoke("commands");
}

#[test]
fn manifest() {
    smoke("manifest");
}

#[test]
fn configuration() {
    smoke("configuration");
}

#[test]
fn people() {
    smoke("people");
}

/// Fails if a target has no test here, or seeds that its own reader does not take.
#[test]
fn every_target_has_seeds_and_a_smoke_run() {
    let this = include_str!("smoke.rs");
    for target in &TARGETS {
        assert!(!(target.seeds)().is_empty(), "{}", target.name);
        assert!(this.contains(&format!("smoke(\"{}\")", target.name)));
    }
}
