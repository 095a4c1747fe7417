//! What this host serves: a search, a handshake and a durable write are timed for a few seconds,
//! and the slowest of the three says how many devices may ask within ten.

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Kernel, ModelId, Searcher, Threshold, View};
use serde::Serialize;
use time::OffsetDateTime;

use crate::limits::{OVERLAY_ROWS_MAX, PROBES_IN_BATCH_MAX};
use crate::pki::SitePki;
use crate::secrets::Sealer;
use crate::tls::{self, Sessions};

/// Of the system requirements: devices ask within this time, and wait at most 2 s.
const WINDOW: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(2);
/// Of each, so that the median is one.
const HANDSHAKES: usize = 40;
const WRITES: usize = 60;
const SEARCHES: usize = 9;
/// What else a request costs its loop, measured: framing, parsing, the reply.
const REST: Duration = Duration::from_micros(100);
/// The part of the machine that is planned with.
const SHARE: f64 = 0.5;

/// What the three take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// A search of a full batch over [`Times::rows`], all cores at it.
    pub batch: Duration,
    /// How many references were searched.
    pub rows: u64,
    /// A full handshake, both ends on one core.
    pub handshake: Duration,
    /// A durable write, the slowest of ten.
    pub write: Duration,
    /// Cores.
    pub cores: usize,
}

/// What a host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Devices within 10 s, each answered within 2 s.
    pub devices: u64,
    /// With so many people enrolled.
    pub people: u64,
}

/// Devices that may ask within the window, each with a handshake of its own, at half the machine's
/// power. An estimate: only `loadtest` measures.
#[must_use]
pub fn capacity(times: &Times, people: u64) -> Capacity {
    let of_people = people as f64 / times.rows.max(1) as f64;
    let batch_s = times.batch.as_secs_f64() * of_people;
    // A request that just misses a batch waits for it and for its own, and for two writes.
    let slowest_s = 2.0 * batch_s + 2.0 * times.write.as_secs_f64();
    if slowest_s > LIMIT.as_secs_f64() {
        return Capacity { devices: 0, people };
    }
    let batch = PROBES_IN_BATCH_MAX as f64;
    let core_s = (times.handshake + REST).as_secs_f64() / times.cores.max(1) as f64;
    let each_s = batch_s / batch + core_s;
    let by_cpu = WINDOW.as_secs_f64() * SHARE / each_s;
    let by_disk = WINDOW.as_secs_f64() * SHARE * batch / times.write.as_secs_f64().max(1e-6);
    Capacity {
        devices: by_cpu.min(by_disk) as u64,
        people,
    }
}

/// Times the three; takes a few seconds. `folder` is on the disk that is asked about.
///
/// # Errors
/// If the processor lacks AVX2, or a file cannot be written.
pub fn measure(folder: &Path) -> Result<Times, Box<dyn std::error::Error>> {
    let cores = std::thread::available_parallelism()?.get();
    let (batch, rows) = search(cores)?;
    let scratch = folder.join("check-host.scratch");
    std::fs::create_dir_all(&scratch)?;
    let timed = handshake(&scratch).and_then(|handshake| Ok((handshake, write(&scratch)?)));
    std::fs::remove_dir_all(&scratch)?;
    let (handshake, write) = timed?;
    Ok(Times {
        batch,
        rows,
        handshake,
        write,
        cores,
    })
}

fn search(cores: usize) -> Result<(Duration, u64), Box<dyn std::error::Error>> {
    let people = Synthetic::new(1, Shape::Realistic);
    let rows: Vec<_> = (0..OVERLAY_ROWS_MAX as u64)
        .map(|person| people.row(person))
        .collect();
    let view = View::empty(ModelId([0; 16])).with_enrolled(&rows, 1)?;
    let probes: Vec<_> = (0..PROBES_IN_BATCH_MAX as u64)
        .map(|number| people.stranger(number))
        .collect();
    let searcher = Searcher::new(Kernel::best()?, cores)?;
    let threshold = Threshold::new(0.5)?;
    let mut times = Vec::with_capacity(SEARCHES);
    for _ in 0..SEARCHES {
        let began = Instant::now();
        searcher.search(&view, &probes, threshold)?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok((times[SEARCHES / 2], rows.len() as u64))
}

fn handshake(scratch: &Path) -> Result<Duration, Box<dyn std::error::Error>> {
    let sealer = Sealer::create(scratch)?;
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = OffsetDateTime::now_utc();
    let pki = SitePki::create(scratch, &sealer, "check", (address, 3_600), now)?;
    let mut times = Vec::with_capacity(HANDSHAKES);
    for _ in 0..HANDSHAKES {
        // A configuration of its own: nothing to resume.
        let roots = [pki.ca().clone()];
        let sessions = Arc::new(Sessions::new(1));
        let config = tls::server_config(pki.server_chain(), pki.server_key(), &roots, sessions)?;
        let began = Instant::now();
        tls::warm_up(&config, 1)?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[HANDSHAKES / 2])
}

fn write(scratch: &Path) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut file = File::create(scratch.join("write"))?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[WRITES * 9 / 10])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Times {
        Times {
            batch: Duration::from_millis(4),
            rows: 4_000,
            handshake: Duration::from_micros(400),
            write: Duration::from_millis(5),
            cores: 8,
        }
    }

    /// 100,000 people: a batch takes 100 ms, 1.5625 ms a request, and 62.5 us of a core's share.
    /// Fails if people, cores or the half are left out.
    #[test]
    fn the_slowest_part_says_how_many() {
        let found = capacity(&times(), 100_000);
        assert_eq!(found.devices, 3_076);
        let slow_disk = Times {
            write: Duration::from_millis(400),
            ..times()
        };
        assert_eq!(capacity(&slow_disk, 100_000).devices, 800);
        let too_slow = Times {
            write: Duration::from_millis(1_001),
            ..times()
        };
        assert_eq!(capacity(&too_slow, 1).devices, 0);
        assert_eq!(capacity(&times(), 1_000_000).devices, 0, "2 s are over");
    }
}
