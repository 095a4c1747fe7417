//! The targets under libFuzzer: `FUZZ_TARGET` names one, `FUZZ_SEEDS` a folder for its seeds.
//! `tests/fuzz/run` builds and starts it.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&'static cardea_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = cardea_fuzz::target(&name).expect("FUZZ_TARGET names a target");
    if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let file = Path::new(&folder).join(format!("seed-{number}"));
            std::fs::write(file, seed).expect("the folder of seeds can be written");
        }
    }
    target
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
