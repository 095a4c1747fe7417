"""Runs Cardea and its peers over the same gallery and probes, in turns, and prints one table.

Every engine answers "who, or nobody": its best row if that scores at or above the threshold. An
answer that differs from the exhaustive f32 search's is wrong. Times are the engine's search calls
alone: nothing is built, loaded or converted inside them.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numkong
import numpy as np
import threadpoolctl
from usearch.index import MetricKind, search as usearch_search

import chart

THRESHOLD = 0.41
DIM = 512
FOLDER = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "bench-galleries"


class Ours:
    """Our side, in a process of its own."""

    def __init__(self, binary, rows):
        command = [binary, "--folder", str(FOLDER), "peers", "--rows", str(rows)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("our side did not become ready")

    def search(self, kernel, threads, batch, first):
        self.process.stdin.write(f"{kernel} {threads} {batch} {first}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            raise RuntimeError(f"no {kernel} here")
        return float(answer[0]), int(answer[1])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def quantised(vectors):
    """int8 codes with one scale for all, as engines without a scale per row need them."""
    scale = 127.0 / np.abs(vectors).max()
    return np.rint(vectors * scale).astype(np.int8), scale


def faiss_index(index, rows):
    index.train(rows[:: max(1, len(rows) // 50_000)])
    index.add(rows)
    return index


def faiss_engine(index, scale=1.0):
    def search(probes, threads):
        faiss.omp_set_num_threads(threads)
        scores, ids = index.search(probes, 1)
        return ids[:, 0], scores[:, 0] / (scale * scale)

    return search


def numpy_engine(rows):
    def search(probes, threads):
        with threadpoolctl.threadpool_limits(threads):
            scores = probes @ rows.T
        ids = scores.argmax(axis=1)
        return ids, scores[np.arange(len(ids)), ids]

    return search


def usearch_engine(rows, metric, scale=1.0):
    def search(probes, threads):
        found = usearch_search(rows, probes, 1, metric, exact=True, threads=threads)
        ids = np.asarray(found.keys).reshape(-1).astype(np.int64)
        distances = np.asarray(found.distances).reshape(-1)
        return ids, (1.0 - distances) / (scale * scale) if metric is MetricKind.IP else 1.0 - distances

    return search


def numkong_engine(codes, scale, pool):
    packs = {
        threads: [
            (part[0], numkong.dots_pack(np.ascontiguousarray(codes[part])))
            for part in np.array_split(np.arange(len(codes)), threads)
        ]
        for threads in (1, 2)
    }

    def one(task):
        probes, (first, pack) = task
        dots = np.asarray(numkong.dots_packed(probes, pack))
        ids = dots.argmax(axis=1)
        return ids + first, dots[np.arange(len(ids)), ids]

    def search(probes, threads):
        parts = list(pool.map(one, [(probes, part) for part in packs[threads]]))
        ids, dots = (np.stack([part[i] for part in parts]) for i in (0, 1))
        best = dots.argmax(axis=0)
        at = np.arange(dots.shape[1])
        return ids[best, at], dots[best, at] / (scale * scale)

    return search


def engines(rows, probes, pool, graph_rows_max):
    """Name, search function, and the probes as that engine wants them."""
    codes, scale = quantised(rows)
    probe_codes = np.rint(np.clip(probes * scale, -127, 127)).astype(np.int8)
    flat = faiss_index(faiss.IndexFlatIP(DIM), rows)
    kinds = faiss.ScalarQuantizer
    inner = faiss.METRIC_INNER_PRODUCT
    yield "numpy f32 GEMM", numpy_engine(rows), probes
    yield "FAISS flat f32", faiss_engine(flat), probes
    sq8 = faiss_index(faiss.IndexScalarQuantizer(DIM, kinds.QT_8bit, inner), rows)
    yield "FAISS SQ8", faiss_engine(sq8), probes
    signed = faiss.IndexScalarQuantizer(DIM, kinds.QT_8bit_direct_signed, inner)
    faiss_index(signed, codes.astype(np.float32))
    yield "FAISS SQ8 direct signed", faiss_engine(signed, scale), probe_codes.astype(np.float32)
    fast = faiss_index(faiss.IndexPQFastScan(DIM, 128, 4, inner), rows)
    refined = faiss.IndexRefine(fast, flat)
    refined.k_factor = 100
    yield "FAISS PQ128x4 fast-scan, refine 100", faiss_engine(refined), probes
    if len(rows) <= graph_rows_max:
        graph = faiss.IndexHNSWFlat(DIM, 32, inner)
        graph.hnsw.efConstruction = 80
        graph.hnsw.efSearch = 128
        yield "FAISS HNSW32", faiss_engine(faiss_index(graph, rows)), probes
    yield "usearch f32", usearch_engine(rows, MetricKind.IP), probes
    yield "usearch i8", usearch_engine(codes, MetricKind.Cos), probe_codes
    yield "NumKong packed i8", numkong_engine(codes, scale, pool), probe_codes


def wrong(ids, scores, truth):
    decided = np.where(scores >= THRESHOLD, ids, -1)
    return int((decided != truth).sum())


def measure(options, rows_count, pool):
    ours = Ours(options.ours, rows_count)
    rows = np.fromfile(FOLDER / "rows.f32", dtype="<f4").reshape(-1, DIM)
    probes = np.fromfile(FOLDER / "probes.f32", dtype="<f4").reshape(-1, DIM)
    truth = np.array(json.loads((FOLDER / "truth.json").read_text()))

    def peer(search, asked):
        def call(threads, batch, first):
            part = np.ascontiguousarray(asked[first : first + batch])
            start = time.perf_counter()
            ids, scores = search(part, threads)
            ms = (time.perf_counter() - start) * 1e3
            return ms, wrong(ids, scores, truth[first : first + batch])

        return call

    def own(kernel):
        return lambda threads, batch, first: ours.search(kernel, threads, batch, first)

    calls = {}
    for kernel in ("avx2", "avx-vnni", "avx512-vnni"):
        calls[f"Cardea {kernel}"] = own(kernel)
    for name, search, asked in engines(rows, probes, pool, options.graph_rows_max):
        print(f"  {name} is built", flush=True)
        calls[name] = peer(search, asked)

    times, mistakes, asked = {}, {}, {}
    for round_number in range(options.rounds + 1):
        for batch in options.batches:
            for threads in options.threads:
                first = round_number * batch % (len(probes) - batch + 1)
                for name in list(calls):
                    key = (name, batch, threads)
                    # Minutes for one call: once is enough.
                    if statistics.fmean(times.get(key, [0])) > 3000:
                        continue
                    try:
                        ms, mistaken = calls[name](threads, batch, first)
                    except RuntimeError as why:
                        print(f"  {name} left out: {why}", flush=True)
                        del calls[name]
                        continue
                    if round_number > 0 or ms > 3000:
                        times.setdefault(key, []).append(ms)
                        mistakes[key] = mistakes.get(key, 0) + mistaken
                        asked[key] = asked.get(key, 0) + batch
    ours.close()
    return [
        {
            "engine": name,
            "rows": rows_count,
            "batch": batch,
            "threads": threads,
            "ms_median": round(statistics.median(ms), 3),
            "ms_min": round(min(ms), 3),
            "wrong": mistakes[name, batch, threads],
            "asked": asked[name, batch, threads],
            "rows_per_s": round(rows_count * batch / statistics.median(ms) * 1e3),
        }
        for (name, batch, threads), ms in times.items()
    ]


def table(results, base):
    at = {(r["engine"], r["rows"], r["batch"], r["threads"]): r for r in results}
    columns = sorted({(r["rows"], r["batch"], r["threads"]) for r in results})
    for rows, batch, threads in columns:
        print(f"\n{rows:,} rows, {batch} probes, {threads} threads")
        ours = at.get((base, rows, batch, threads))
        group = [r for r in results if (r["rows"], r["batch"], r["threads"]) == (rows, batch, threads)]
        for r in sorted(group, key=lambda r: r["ms_median"]):
            ratio = r["ms_median"] / ours["ms_median"] if ours else float("nan")
            print(
                f"  {r['engine']:<38}{r['ms_median']:>11.2f} ms  (min {r['ms_min']:.2f})"
                f"  x{ratio:<8.2f}{r['wrong']} of {r['asked']} wrong"
            )


def main():
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--rows", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--batches", type=numbers, default=[1, 8, 64])
    # A graph of 100,000 takes minutes to build.
    parser.add_argument("--graph-rows-max", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    results = []
    with ThreadPoolExecutor(2) as pool:
        for rows_count in options.rows:
            print(f"{rows_count:,} rows", flush=True)
            results += measure(options, rows_count, pool)
    table(results, "Cardea avx2")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.csv:
        lines = [",".join(results[0])] + [
            ",".join(f'"{v}"' if "," in str(v) else str(v) for v in r.values()) for r in results
        ]
        options.csv.write_text("\n".join(lines) + "\n")
    if options.svg:
        options.svg.write_text(chart.draw(results))


if __name__ == "__main__":
    main()
