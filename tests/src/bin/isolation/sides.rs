//! What goes wrong or is busy beside the access path.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use cardea_tests::broker::status;
use cardea_tests::space::until;
use cardea_tests::throttle::Throttle;

use super::measure::Lane;
use super::world::World;

/// The slow disk.
const DISK_BYTES_PER_S: u64 = 20_000_000;
/// Between two looks at whether it is over; it only spares the machine.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// How long the broker is away, and there.
const BROKER_DWELL: Duration = Duration::from_millis(300);
/// Pages that the console makes again and again.
const PAGES: [&str; 4] = [
    "/console/",
    "/console/latency?span=7d",
    "/console/people",
    "/console/logs/attempts",
];

/// A disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    SpaceHung,
    BrokerFlapping,
    Console,
    Backup,
    Snapshot,
    SlowDisk,
    SlowDiskImport,
}

impl Side {
    pub(crate) const ALL: [Side; 7] = [
        Side::SpaceHung,
        Side::BrokerFlapping,
        Side::Console,
        Side::Backup,
        Side::Snapshot,
        Side::SlowDisk,
        Side::SlowDiskImport,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::SpaceHung => "Space hung",
            Side::BrokerFlapping => "broker flapping",
            Side::Console => "console under load",
            Side::Backup => "backup running",
            Side::Snapshot => "bulk import, snapshots written",
            Side::SlowDisk => "disk at 20 MB/s",
            Side::SlowDiskImport => "disk at 20 MB/s, full of an import",
        }
    }

    /// The word for it on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Side::SpaceHung => "space",
            Side::BrokerFlapping => "broker",
            Side::Console => "console",
            Side::Backup => "backup",
            Side::Snapshot => "snapshot",
            Side::SlowDisk => "disk",
            Side::SlowDiskImport => "disk-import",
        }
    }

    /// Whether the lane can be as quick as at rest: who asks a Space that hangs, or writes to a
    /// disk that is at its limit, waits for it, and is answered within the absolute limit all the
    /// same.
    pub(crate) fn is_compared(self, lane: Lane) -> bool {
        match (self, lane) {
            (Side::SpaceHung, Lane::People) | (Side::SlowDiskImport, _) => false,
            (Side::SpaceHung, Lane::Strangers) => true,
            (
                Side::BrokerFlapping
                | Side::Console
                | Side::Backup
                | Side::Snapshot
                | Side::SlowDisk,
                Lane::Strangers | Lane::People,
            ) => true,
        }
    }

    /// Whether some may be turned away: nobody passes while Space cannot be asked.
    pub(crate) fn may_refuse(self, lane: Lane) -> bool {
        !self.is_compared(lane)
    }

    /// Makes the disturbance, calls `in_place` once it is there, and ends it when it is over. Says
    /// what happened meanwhile.
    ///
    /// # Errors
    /// Why it cannot be had on this machine.
    pub(crate) fn run(
        self,
        world: &mut World,
        in_place: &dyn Fn(),
        over: &AtomicBool,
    ) -> Result<String, String> {
        match self {
            Side::SpaceHung => Ok(space_hung(world, in_place, over)),
            Side::BrokerFlapping => Ok(broker_flapping(world, in_place, over)),
            Side::Console => Ok(console(world, in_place, over)),
            Side::Backup => {
                let count = again(in_place, over, || world.back_up());
                Ok(format!("{count} backups"))
            }
            Side::Snapshot => {
                let count = again(in_place, over, || world.import());
                Ok(format!("{count} imports"))
            }
            Side::SlowDisk => {
                let throttle = slow_disk(world)?;
                in_place();
                wait(over);
                Ok(speed(&throttle))
            }
            Side::SlowDiskImport => {
                let throttle = slow_disk(world)?;
                let count = again(in_place, over, || world.import());
                Ok(format!("{count} imports, {}", speed(&throttle)))
            }
        }
    }
}

fn is_over(over: &AtomicBool) -> bool {
    over.load(Ordering::Relaxed)
}

fn wait(over: &AtomicBool) {
    while !is_over(over) {
        thread::park_timeout(BETWEEN_LOOKS);
    }
}

/// Does it again and again, at least once; gives how often.
fn again(in_place: &dyn Fn(), over: &AtomicBool, mut act: impl FnMut()) -> u32 {
    in_place();
    let mut count = 0;
    while count == 0 || !is_over(over) {
        act();
        count += 1;
    }
    count
}

fn space_hung(world: &mut World, in_place: &dyn Fn(), over: &AtomicBool) -> String {
    world.space.space.command("fault hang");
    in_place();
    wait(over);
    let status = world.space.status("status");
    world.space.space.command("clear");
    world.space.await_status("Connected");
    world.space.sync();
    format!("Space shown as {status} at the end")
}

fn broker_flapping(world: &mut World, in_place: &dyn Fn(), over: &AtomicBool) -> String {
    let count = again(in_place, over, || {
        world.broker.stop();
        world.add_device();
        thread::park_timeout(BROKER_DWELL);
        world.broker.start();
        // One that has hardly begun does not hear that it is to end.
        thread::park_timeout(BROKER_DWELL);
    });
    until("connected again", || {
        status(&world.space.site) == "Connected"
    });
    format!("{count} losses of the broker")
}

fn console(world: &World, in_place: &dyn Fn(), over: &AtomicBool) -> String {
    let pages = AtomicU64::new(0);
    thread::scope(|scope| {
        for path in PAGES {
            let mut browser = world.browser();
            let pages = &pages;
            let load = move || {
                while !is_over(over) {
                    let status = browser.get(path).status;
                    assert!(status < 500, "{path}: {status}");
                    pages.fetch_add(1, Ordering::Relaxed);
                }
            };
            let thread = thread::Builder::new().name("browser".to_owned());
            thread.spawn_scoped(scope, load).expect("a thread starts");
        }
        in_place();
    });
    format!("{} pages", pages.into_inner())
}

fn slow_disk(world: &World) -> Result<Throttle, String> {
    let process = world.space.server.process.id();
    Throttle::begin(process, &world.space.site.data(), DISK_BYTES_PER_S)
}

fn speed(throttle: &Throttle) -> String {
    format!("{:.1} MB/s measured", throttle.measured_bytes_per_s / 1e6)
}
