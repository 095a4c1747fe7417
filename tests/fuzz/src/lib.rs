//! Everything that reads bytes from outside, fed with bytes that nobody meant.
//!
//! A [`Target`] takes bytes and panics if what it promises does not hold: at least that it never
//! panics, mostly more (the same whatever the split, read again what was written). [`mutate`]
//! makes inputs from a seed for the smoke run of `./tools/test`; `tests/fuzz/run TARGET SECONDS`
//! looks for more with coverage as its guide. What that found worth keeping is in `corpora`.

pub mod mutate;
mod targets;

use std::path::{Path, PathBuf};

/// Something that reads bytes from outside.
pub struct Target {
    /// Its name, and that of its folder in `corpora`.
    pub name: &'static str,
    /// Reads the bytes; panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs that are as they should be.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "http",
        run: targets::http::run,
        seeds: targets::http::seeds,
    },
    Target {
        name: "wire",
        run: targets::wire::run,
        seeds: targets::wire::seeds,
    },
    Target {
        name: "gallery",
        run: targets::files::gallery,
        seeds: targets::files::gallery_seeds,
    },
    Target {
        name: "ship",
        run: targets::space::ship,
        seeds: targets::space::ship_seeds,
    },
    Target {
        name: "events",
        run: targets::space::events,
        seeds: targets::space::event_seeds,
    },
    Target {
        name: "commands",
        run: targets::connect::command,
        seeds: targets::connect::command_seeds,
    },
    Target {
        name: "manifest",
        run: targets::connect::manifest,
        seeds: targets::connect::manifest_seeds,
    },
    Target {
        name: "configuration",
        run: targets::files::configuration,
        seeds: targets::files::configuration_seeds,
    },
    Target {
        name: "people",
        run: targets::files::people,
        seeds: targets::files::people_seeds,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The folder of a target's corpus.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpora")
        .join(name)
}
