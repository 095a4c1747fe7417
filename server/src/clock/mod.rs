//! How right the server's clock is, and whether it stepped.
//!
//! The chrony of this machine is asked as a device would ask it, by NTP. Nothing is decided by the
//! answer: it is shown. A step of the calendar, in either direction, is noted in the audit;
//! deadlines use the steady clock and do not notice it.

mod ntp;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::audit::{AdministrativeChange, AuditHandle};
use crate::limits::{AUDIT_TEXT_BYTES_MAX, CLOCK_ANSWER, CLOCK_LOOK, CLOCK_STEP_MS};
use crate::site::{moment, unix_ms};

pub use ntp::{Answer, Doubt};

/// The clock as it was found last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// What was said of it.
    pub state: State,
    /// Steps of the calendar since the start.
    pub steps: u64,
}

/// What the source of time says.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum State {
    /// Nobody has been asked yet.
    #[default]
    NotAsked,
    /// It follows a source.
    Synchronised(Answer),
    /// The source says that it follows none.
    Unsynchronised,
    /// There is no answer, or one that cannot be believed: why.
    Unknown(String),
}

impl State {
    /// Its name for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotAsked => "not asked yet",
            Self::Synchronised(_) => "synchronised",
            Self::Unsynchronised => "unsynchronised",
            Self::Unknown(_) => "unknown",
        }
    }

    /// What it says, if it follows a source.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Synchronised(answer) => Some(answer),
            Self::NotAsked | Self::Unsynchronised | Self::Unknown(_) => None,
        }
    }
}

/// The newest reading, shared with whoever shows it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<ArcSwap<Reading>>);

impl Clock {
    /// The newest reading.
    #[must_use]
    pub fn reading(&self) -> Arc<Reading> {
        self.0.load_full()
    }

    /// The reading as `/health` shows it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let reading = self.reading();
        let why = match &reading.state {
            State::Unknown(why) => Some(why.as_str()),
            State::NotAsked | State::Synchronised(_) | State::Unsynchronised => None,
        };
        let answer = reading.state.answer();
        serde_json::json!({
            "state": reading.state.name(),
            "why": why,
            "stratum": answer.map(|answer| answer.stratum),
            "error_ms": answer.map(|answer| answer.error_ms),
            "offset_ms": answer.map(|answer| answer.offset_ms),
            "steps": reading.steps,
        })
    }
}

/// Starts the thread that looks at the clock; it lives as long as the process.
///
/// # Errors
/// If the system gives no thread.
pub fn watch(clock: Clock, source: SocketAddr, audit: AuditHandle) -> io::Result<()> {
    thread::Builder::new()
        .name("clock".to_owned())
        .spawn(move || {
            let mut calendar = Calendar::new(Instant::now(), unix_ms());
            let mut steps = 0;
            loop {
                let state = look(source);
                clock.0.store(Arc::new(Reading { state, steps }));
                thread::park_timeout(CLOCK_LOOK);
                if let Some(step_ms) = calendar.step(Instant::now(), unix_ms()) {
                    steps += 1;
                    note(&audit, step_ms);
                }
            }
        })
        .map(drop)
}

fn note(audit: &AuditHandle, step_ms: i64) {
    let subject = format!("{:+.3} s", step_ms as f64 / 1e3);
    debug_assert!(subject.len() <= AUDIT_TEXT_BYTES_MAX);
    tracing::warn!(step = subject, "the clock stepped");
    let change = AdministrativeChange {
        at_unix_us: moment(Instant::now()).unix_us,
        actor: "server".to_owned(),
        action: "clock.step".to_owned(),
        subject,
    };
    if let Err(error) = audit.change(change, 0) {
        tracing::error!(%error, "a step of the clock could not be noted in the audit");
    }
}

/// The calendar against the steady clock.
struct Calendar {
    steady: Instant,
    unix_ms: u64,
}

impl Calendar {
    fn new(steady: Instant, unix_ms: u64) -> Self {
        Self { steady, unix_ms }
    }

    /// By how much the calendar moved more than time passed, if it is a step; in ms.
    fn step(&mut self, steady: Instant, unix_ms: u64) -> Option<i64> {
        let passed = i64::try_from(steady.duration_since(self.steady).as_millis());
        let moved = unix_ms
            .cast_signed()
            .wrapping_sub(self.unix_ms.cast_signed());
        *self = Self::new(steady, unix_ms);
        let step_ms = moved.saturating_sub(passed.unwrap_or(i64::MAX));
        (step_ms.abs() >= CLOCK_STEP_MS).then_some(step_ms)
    }
}

fn look(source: SocketAddr) -> State {
    match ask(source) {
        Ok(Ok(answer)) => State::Synchronised(answer),
        Ok(Err(Doubt::Unsynchronised)) => State::Unsynchronised,
        Ok(Err(doubt)) => State::Unknown(doubt.to_string()),
        Err(error) => State::Unknown(format!("{source}: {error}")),
    }
}

/// Asks once.
fn ask(source: SocketAddr) -> io::Result<Result<Answer, Doubt>> {
    let own = match source {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(own)?;
    socket.connect(source)?;
    socket.set_read_timeout(Some(CLOCK_ANSWER))?;
    let sent = since_epoch();
    socket.send(&ntp::request(sent))?;
    let mut bytes = [0; 512];
    let length = socket.recv(&mut bytes)?;
    Ok(Answer::parse(&bytes[..length], sent, since_epoch()))
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_the_steady_clock_did_not_see() {
        let start = Instant::now();
        let mut calendar = Calendar::new(start, 1_000_000);
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(calendar.step(at(5), 1_005_000), None);
        assert_eq!(calendar.step(at(10), 1_010_900), None, "slewed");
        assert_eq!(
            calendar.step(at(15), 1_015_900 + 7_200_000),
            Some(7_200_000)
        );
        assert_eq!(calendar.step(at(20), 1_020_900 + 7_200_000), None);
        assert_eq!(calendar.step(at(25), 1_025_900), Some(-7_200_000));
        assert_eq!(calendar.step(at(30), 0), Some(-1_030_900));
    }

    #[test]
    fn a_source_that_is_not_there_is_said_so() {
        let nobody = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let gone = nobody.local_addr().expect("bound");
        drop(nobody);
        let State::Unknown(why) = look(gone) else {
            panic!("nobody answered");
        };
        assert!(why.starts_with("127.0.0.1:"), "{why}");
    }
}
