//! The sessions that peers resume from, shared by all loops.
//!
//! rustls' own cache walks all its entries to take one out, which every resumption in TLS 1.3
//! does; and anybody can fill it. Here both ends are constant time, and sessions of peers without
//! a certificate have a shelf of their own: however many strangers come, they push out strangers.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::server::StoresServerSessions;
use zeroize::Zeroizing;

/// Sessions of strangers for each session of a device.
const STRANGERS_PER_DEVICE: usize = 8;

/// A bounded store of sessions; when it is full the oldest goes.
pub struct Sessions {
    capacity: usize,
    shelves: Mutex<Shelves>,
}

struct Shelves {
    devices: Shelf,
    strangers: Shelf,
}

impl Sessions {
    /// A store for `capacity` sessions of devices (more than there are devices) and an eighth as
    /// many of strangers. A session takes about 1 KiB. With 0 nothing is resumed.
    pub fn new(capacity: usize) -> Sessions {
        Sessions {
            capacity,
            shelves: Mutex::new(Shelves {
                devices: Shelf::new(capacity),
                strangers: Shelf::new(capacity.div_ceil(STRANGERS_PER_DEVICE)),
            }),
        }
    }

    /// Sessions of devices it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sessions it holds now: of devices, and of strangers.
    pub fn count(&self) -> (usize, usize) {
        let shelves = self.lock();
        (
            shelves.devices.sessions.len(),
            shelves.strangers.sessions.len(),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        // A shelf is whole between any two statements that can panic.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let of_device = carries_certificate(&value);
        let value = Zeroizing::new(value);
        let mut shelves = self.lock();
        match of_device {
            true => shelves.devices.put(key, value),
            false => shelves.strangers.put(key, value),
        }
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let shelves = self.lock();
        let shelf = [&shelves.devices, &shelves.strangers];
        let found = shelf.iter().find_map(|shelf| shelf.sessions.get(key));
        found.map(|(_, value)| value.to_vec())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut shelves = self.lock();
        let device = shelves.devices.sessions.remove(key);
        let taken = device.or_else(|| shelves.strangers.sessions.remove(key));
        taken.map(|(_, mut value)| std::mem::take(&mut *value))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (devices, strangers) = self.count();
        f.debug_struct("Sessions")
            .field("devices", &devices)
            .field("strangers", &strangers)
            .finish_non_exhaustive()
    }
}

/// Sessions by key, oldest first.
struct Shelf {
    capacity: usize,
    /// Number of the session's arrival, and the session.
    sessions: HashMap<Vec<u8>, (u64, Zeroizing<Vec<u8>>)>,
    /// Arrivals in order. Sessions that were taken leave theirs behind until it comes up.
    arrivals: VecDeque<(u64, Vec<u8>)>,
    arrived: u64,
}

impl Shelf {
    fn new(capacity: usize) -> Shelf {
        Shelf {
            capacity,
            sessions: HashMap::new(),
            arrivals: VecDeque::new(),
            arrived: 0,
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Zeroizing<Vec<u8>>) {
        self.arrived += 1;
        self.arrivals.push_back((self.arrived, key.clone()));
        self.sessions.insert(key, (self.arrived, value));
        while self.sessions.len() > self.capacity {
            let Some((number, key)) = self.arrivals.pop_front() else {
                break;
            };
            if self.is_current(number, &key) {
                self.sessions.remove(&key);
            }
        }
        if self.arrivals.len() > 2 * self.capacity + 16 {
            let mut arrivals = std::mem::take(&mut self.arrivals);
            arrivals.retain(|(number, key)| self.is_current(*number, key));
            self.arrivals = arrivals;
        }
    }

    fn is_current(&self, number: u64, key: &[u8]) -> bool {
        matches!(self.sessions.get(key), Some((arrival, _)) if *arrival == number)
    }
}

/// Whether the session that rustls wrote as `value` is one of a peer with a certificate.
///
/// The form is rustls' own: server name (flag, length of one byte), version and suite (two bytes
/// each), secret (length of one byte), a flag, and whether a chain follows. The tests compare it
/// with real sessions; what does not fit is a stranger's.
fn carries_certificate(value: &[u8]) -> bool {
    fn after_counted(bytes: &[u8]) -> Option<&[u8]> {
        let (&length, rest) = bytes.split_first()?;
        rest.get(usize::from(length)..)
    }
    fn flag(value: &[u8]) -> Option<u8> {
        let (&named, rest) = value.split_first()?;
        let rest = match named {
            1 => after_counted(rest)?,
            _ => rest,
        };
        let rest = after_counted(rest.get(4..)?)?;
        rest.get(1).copied()
    }
    flag(value) == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Vec<u8> {
        number.to_le_bytes().to_vec()
    }

    /// A session in rustls' form, of a peer with or without a certificate.
    fn session(with_certificate: bool) -> Vec<u8> {
        vec![
            0,
            3,
            4,
            0x13,
            1,
            2,
            9,
            9,
            0,
            u8::from(with_certificate),
            7,
            7,
        ]
    }

    #[test]
    fn the_oldest_goes_first_and_strangers_push_out_strangers() {
        let sessions = Sessions::new(8);
        for number in 0..8 {
            sessions.put(key(number), session(true));
        }
        for number in 100..1_100 {
            sessions.put(key(number), session(false));
        }
        assert_eq!(sessions.count(), (8, 1));
        sessions.put(key(8), session(true));
        assert_eq!(sessions.get(&key(0)), None);
        assert_eq!(sessions.get(&key(1)), Some(session(true)));
        assert_eq!(sessions.get(&key(1_099)), Some(session(false)));
    }

    #[test]
    fn a_session_is_taken_once_and_the_list_of_arrivals_stays_short() {
        let sessions = Sessions::new(4);
        for number in 0..1_000 {
            sessions.put(key(number), session(true));
            assert_eq!(sessions.take(&key(number)), Some(session(true)));
            assert_eq!(sessions.take(&key(number)), None);
        }
        assert_eq!(sessions.count(), (0, 0));
        assert!(sessions.lock().devices.arrivals.len() <= 2 * 4 + 17);
    }

    #[test]
    fn a_damaged_session_is_a_strangers() {
        for length in 0..session(true).len() - 2 {
            assert!(!carries_certificate(&session(true)[..length]));
        }
        assert!(carries_certificate(&session(true)));
        assert!(!carries_certificate(&[1, 200, 0]));
    }
}
