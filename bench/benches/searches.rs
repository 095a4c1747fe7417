//! Whole searches of a gallery file. `CARDEA_BENCH_ROWS` chooses the sizes (default 10000,100000;
//! 1000000 writes 2.8 GB to `target/bench-galleries` the first time).

use cardea_bench::machine::kernels;
use cardea_bench::population::{probes, view};
use cardea_engine::synthetic::Shape;
use cardea_engine::{Searcher, Threshold};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::Path;

fn searches(criterion: &mut Criterion) {
    let sizes = std::env::var("CARDEA_BENCH_ROWS").unwrap_or_else(|_| "10000,100000".into());
    let threshold = Threshold::new(0.41).expect("in range");
    for rows in sizes.split(',').filter_map(|rows| rows.parse::<u64>().ok()) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-galleries");
        let view = view(&folder, Shape::Realistic, rows).expect("a gallery");
        let probes = probes(Shape::Realistic, rows, 0.41, 0, 64);
        for kernel in kernels() {
            let mut group = criterion.benchmark_group(format!("search/{}/{rows}", kernel.name()));
            group.sample_size(10);
            for batch in [1, 8, 64] {
                for threads in [1, 2] {
                    let searcher = Searcher::new(kernel, threads).expect("threads");
                    let id = BenchmarkId::from_parameter(format!("{batch}x{threads}"));
                    group.throughput(Throughput::Elements(rows * batch as u64));
                    group.bench_function(id, |b| {
                        b.iter(|| searcher.search(&view, &probes[..batch], threshold));
                    });
                }
            }
            group.finish();
        }
    }
}

criterion_group!(benches, searches);
criterion_main!(benches);
