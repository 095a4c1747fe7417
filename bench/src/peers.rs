//! Our side of `bench/peers/run`: writes the gallery and the probes for the peers, the answers of
//! the f32 oracle, and then searches on demand, so that engines take turns in one run.

use crate::exact::exhaustive;
use crate::population::{SEED, probes, view};
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{CandidateList, Kernel, Searcher, Threshold};
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// Probes that the engines are asked, a multiple of every batch.
const PROBES: u64 = 512;

/// Writes `rows.f32`, `probes.f32`, `truth.json`, prints `ready`, then answers each line
/// `kernel threads batch first` with `milliseconds wrong`, or `missing` if this CPU lacks the
/// kernel.
pub fn serve(
    folder: &Path,
    shape: Shape,
    rows: u64,
    threshold: Threshold,
) -> Result<(), Box<dyn Error>> {
    let view = view(folder, shape, rows)?;
    let people = Synthetic::new(SEED, shape);
    let probes = probes(shape, rows, threshold.value(), 0, PROBES);
    let mut file = BufWriter::new(File::create(folder.join("rows.f32"))?);
    for person in 0..rows {
        file.write_all(&people.reference(person, 0).to_le_bytes())?;
    }
    // On the disk before anything is measured: writing 2 GB back takes half a minute.
    file.into_inner()?.sync_all()?;
    let bytes: Vec<u8> = probes
        .iter()
        .flat_map(|probe| probe.to_le_bytes())
        .collect();
    std::fs::write(folder.join("probes.f32"), bytes)?;
    let expected = exhaustive(&people, rows, &probes, threshold)?;
    let best = |list: &CandidateList| list.best().map_or(-1, |best| best.reference.0 as i64);
    let truth: Vec<i64> = expected.iter().map(best).collect();
    std::fs::write(folder.join("truth.json"), serde_json::to_string(&truth)?)?;

    println!("ready");
    let mut searchers: HashMap<(String, usize), Searcher> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, threads, batch, first] = words[..] else {
            return Err(format!("not a request: {line}").into());
        };
        let (threads, batch, first): (usize, usize, usize) =
            (threads.parse()?, batch.parse()?, first.parse()?);
        let key = (name.to_owned(), threads);
        if !searchers.contains_key(&key) {
            let Ok(kernel) = Kernel::by_name(name) else {
                println!("missing");
                continue;
            };
            searchers.insert(key.clone(), Searcher::new(kernel, threads)?);
        }
        let end = first + batch;
        let asked = probes.get(first..end).ok_or("no such probes")?;
        let start = Instant::now();
        let found = searchers[&key].search(&view, asked, threshold)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let wrong = found
            .iter()
            .zip(&expected[first..end])
            .filter(|(a, b)| a != b)
            .count();
        println!("{ms} {wrong}");
    }
    Ok(())
}
