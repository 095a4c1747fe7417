//! Who is connected to a loop: by address, by device, by age.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Key, Waker};
use crate::limits::EVICTION_TRIES;

/// What one address occupies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) handshakes: usize,
    pub(super) requests: usize,
}

/// What each connected address occupies. As long as there are connections, and no longer.
#[derive(Debug, Default)]
pub(super) struct Addresses(HashMap<IpAddr, Load>);

impl Addresses {
    /// What `address` occupies now.
    pub(super) fn load(&self, address: IpAddr) -> Load {
        let load = self.0.get(&group(address));
        load.copied().unwrap_or_default()
    }

    /// Changes what `address` occupies; forgets it when that is nothing.
    pub(super) fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut Load)) {
        let load = self.0.entry(group(address)).or_default();
        change(load);
        if *load == Load::default() {
            self.0.remove(&group(address));
        }
    }
}

/// How many connections each address has opened in the present second.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    opened: HashMap<IpAddr, usize>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace {
            since: now,
            opened: HashMap::new(),
        }
    }

    /// Counts a connection of `address`; returns whether it is within `cap` a second.
    pub(super) fn allows(&mut self, address: IpAddr, cap: usize, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            // A new map, so that what one busy second took is given back.
            *self = Pace::new(now);
        }
        let opened = self.opened.entry(group(address)).or_default();
        *opened += 1;
        *opened <= cap
    }
}

/// What counts as one address: hosts choose the lower half of an IPv6 address freely.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A connection of one of the loops.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) waker: Arc<Waker>,
    pub(super) key: Key,
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        Arc::ptr_eq(&self.waker, &other.waker) && self.key == other.key
    }
}

/// The connections of each device, oldest first, by the fingerprint of its certificate: those of
/// all loops that share this. Locked when a connection comes or goes, never for a request.
#[derive(Debug, Default)]
pub(super) struct Devices(Mutex<HashMap<[u8; 32], Vec<Place>>>);

impl Devices {
    /// Adds a connection of a device. If it now has more than `cap`, returns the oldest, which is
    /// not counted any more.
    pub(super) fn join(&self, fingerprint: [u8; 32], place: Place, cap: usize) -> Option<Place> {
        let mut devices = self.lock();
        let places = devices.entry(fingerprint).or_default();
        places.push(place);
        (places.len() > cap).then(|| places.remove(0))
    }

    /// Forgets one connection of a device.
    pub(super) fn leave(&self, fingerprint: &[u8; 32], place: &Place) {
        let mut devices = self.lock();
        if let Some(places) = devices.get_mut(fingerprint) {
            places.retain(|kept| kept != place);
            if places.is_empty() {
                devices.remove(fingerprint);
            }
        }
    }

    /// All connections of a device to the loop that this waker rings.
    pub(super) fn connections(&self, fingerprint: &[u8; 32], waker: &Arc<Waker>) -> Vec<Key> {
        let devices = self.lock();
        let places = devices.get(fingerprint).into_iter().flatten();
        let here = places.filter(|place| Arc::ptr_eq(&place.waker, waker));
        here.map(|place| place.key).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Vec<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to happen to a connection that has come up as the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It gives its place away.
    Take,
    /// It may, but not now.
    Spare,
    /// It is gone, or never has to.
    Forget,
}

/// Connections by age, for when one must give its place away. Forgets lazily.
#[derive(Debug, Default)]
pub(super) struct Elders(VecDeque<Key>);

impl Elders {
    /// Adds the youngest. `connections` is how many there are in all; when many more are
    /// remembered than that, those that `is_alive` denies are forgotten.
    pub(super) fn join(&mut self, key: Key, connections: usize, is_alive: impl Fn(Key) -> bool) {
        if self.0.len() > 2 * connections + 64 {
            self.0.retain(|&kept| is_alive(kept));
        }
        self.0.push_back(key);
    }

    /// The oldest that may be taken, among the first few.
    pub(super) fn take_oldest(&mut self, judge: impl Fn(Key) -> Verdict) -> Option<Key> {
        let mut spared = 0;
        while let Some(key) = self.0.pop_front() {
            match judge(key) {
                Verdict::Take => return Some(key),
                Verdict::Forget => {}
                Verdict::Spare => {
                    self.0.push_back(key);
                    spared += 1;
                    if spared == EVICTION_TRIES {
                        break;
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key {
            index,
            generation: 0,
        }
    }

    #[test]
    fn an_ipv6_host_cannot_be_many() {
        let mut addresses = Addresses::default();
        let hosts = [
            "2001:db8::1",
            "2001:db8::2",
            "::ffff:192.0.2.1",
            "192.0.2.1",
        ];
        let hosts = hosts.map(|host| host.parse::<IpAddr>().expect("an address"));
        for host in hosts {
            addresses.change(host, |load| load.connections += 1);
        }
        for host in hosts {
            assert_eq!(addresses.load(host).connections, 2);
            addresses.change(host, |load| load.requests = 0);
        }
        for host in hosts {
            addresses.change(host, |load| load.connections -= 1);
        }
        assert!(addresses.0.is_empty());
    }

    #[test]
    fn an_address_has_a_pace_and_another_second() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let [one, other] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let within = |pace: &mut Pace, at| (0..5).filter(|_| pace.allows(one, 3, at)).count();
        assert_eq!(within(&mut pace, now), 3);
        assert!(pace.allows(other, 3, now));
        assert_eq!(within(&mut pace, now + Duration::from_millis(999)), 0);
        assert_eq!(within(&mut pace, now + Duration::from_secs(1)), 3);
        assert_eq!(pace.opened.len(), 1);
    }

    #[test]
    fn a_device_with_too_many_connections_gives_up_its_oldest() {
        let (devices, mine) = (Devices::default(), [7; 32]);
        let poll = mio::Poll::new().expect("an event queue");
        let wakers = [0, 1].map(|token| {
            let made = Waker::new(poll.registry(), mio::Token(token));
            Arc::new(made.expect("a waker").0)
        });
        let place = |waker: usize, index| Place {
            waker: Arc::clone(&wakers[waker]),
            key: key(index),
        };
        assert_eq!(devices.join(mine, place(0, 1), 2), None);
        assert_eq!(devices.join(mine, place(1, 1), 2), None);
        assert_eq!(devices.join(mine, place(0, 3), 2), Some(place(0, 1)));
        // Not the same one again, although the other loop has not closed it yet.
        assert_eq!(devices.join(mine, place(0, 4), 2), Some(place(1, 1)));
        devices.leave(&mine, &place(0, 1));
        assert_eq!(devices.connections(&mine, &wakers[0]), [key(3), key(4)]);
        assert_eq!(devices.connections(&mine, &wakers[1]), []);
        devices.leave(&mine, &place(0, 3));
        devices.leave(&mine, &place(0, 4));
        assert!(devices.lock().is_empty());
    }

    #[test]
    fn the_oldest_that_may_is_taken_and_the_dead_are_forgotten() {
        let mut elders = Elders::default();
        for index in 0..100 {
            elders.join(key(index), 0, |key| key.index >= 60);
        }
        assert!(elders.0.len() < 100);
        let judge = |key: Key| match key.index {
            0..70 => Verdict::Forget,
            70 => Verdict::Spare,
            _ => Verdict::Take,
        };
        assert_eq!(elders.take_oldest(judge), Some(key(71)));
        assert_eq!(elders.take_oldest(|_| Verdict::Spare), None);
        assert_eq!(elders.0.len(), 29);
    }
}
