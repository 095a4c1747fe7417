//! Who is connected to a loop: by address, by device, by age.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Key;
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

/// The connections of each device, oldest first, by the fingerprint of its certificate.
#[derive(Debug, Default)]
pub(super) struct Devices(HashMap<[u8; 32], Vec<Key>>);

impl Devices {
    /// Adds a connection of a device; returns its oldest if it now has more than `cap`.
    pub(super) fn join(&mut self, fingerprint: [u8; 32], key: Key, cap: usize) -> Option<Key> {
        let keys = self.0.entry(fingerprint).or_default();
        keys.push(key);
        (keys.len() > cap).then(|| keys[0])
    }

    /// Forgets one connection of a device.
    pub(super) fn leave(&mut self, fingerprint: &[u8; 32], key: Key) {
        if let Some(keys) = self.0.get_mut(fingerprint) {
            keys.retain(|&kept| kept != key);
            if keys.is_empty() {
                self.0.remove(fingerprint);
            }
        }
    }

    /// All connections of a device.
    pub(super) fn connections(&self, fingerprint: &[u8; 32]) -> Vec<Key> {
        self.0.get(fingerprint).cloned().unwrap_or_default()
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
        let (mut devices, mine) = (Devices::default(), [7; 32]);
        assert_eq!(devices.join(mine, key(1), 2), None);
        assert_eq!(devices.join(mine, key(2), 2), None);
        assert_eq!(devices.join(mine, key(3), 2), Some(key(1)));
        devices.leave(&mine, key(1));
        assert_eq!(devices.connections(&mine), [key(2), key(3)]);
        devices.leave(&mine, key(2));
        devices.leave(&mine, key(3));
        assert!(devices.0.is_empty());
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
