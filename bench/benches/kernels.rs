//! Single passes over rows in the cache, by tier and batch.

use cardea_bench::machine::kernels;
use cardea_engine::bench::{Int8Pass, PlanePass};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 4096;

fn passes(criterion: &mut Criterion) {
    for kernel in kernels() {
        let mut group = criterion.benchmark_group(format!("plane/{}", kernel.name()));
        for batch in [1, 8, 64] {
            let mut pass = PlanePass::lone(kernel, ROWS, batch);
            group.throughput(Throughput::Elements((ROWS * batch) as u64));
            group.bench_function(BenchmarkId::from_parameter(batch), |b| {
                b.iter(|| pass.run())
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group(format!("int8/{}", kernel.name()));
        for batch in [1, 8] {
            let mut pass = Int8Pass::new(kernel, ROWS, batch);
            group.throughput(Throughput::Elements((ROWS * batch) as u64));
            group.bench_function(BenchmarkId::from_parameter(batch), |b| {
                b.iter(|| pass.run())
            });
        }
        group.finish();
    }
}

criterion_group!(benches, passes);
criterion_main!(benches);
