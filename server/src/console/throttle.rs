//! Who has to wait before another password is looked at. Pure: the time is an argument.
//!
//! An attacker must not guess on, and must not keep the administrator out either. So:
//! - a browser from which the member has signed in before has a count of its own; wrong passwords
//!   from anywhere else never make it wait;
//! - an address that errs [`SIGN_IN_FREE`] times waits, twice as long each time;
//! - a name that is guessed at from many addresses makes those wait that have erred before, so an
//!   address that has not is let try;
//! - of unknown browsers only so many passwords a second are hashed, over all addresses.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::limits::{
    SIGN_IN_FREE, SIGN_IN_MEMORY_S, SIGN_IN_NAME_FREE, SIGN_IN_PER_SECOND, SIGN_IN_REMEMBERED_MAX,
    SIGN_IN_WAIT_S_MAX,
};
use crate::store::SecretHash;

/// Who tries to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// From where.
    pub remote: IpAddr,
    /// As whom.
    pub name: String,
    /// The browser, if the member has signed in from it before.
    pub browser: Option<SecretHash>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Name(String),
    Browser([u8; 32]),
}

#[derive(Debug, Clone, Copy, Default)]
struct Wrong {
    count: u32,
    last_unix_s: i64,
}

/// The wrong passwords of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    wrong: HashMap<Key, Wrong>,
    /// Oldest first; a key may be here more than once.
    order: VecDeque<Key>,
    second: i64,
    looked_at: u32,
}

impl Throttle {
    /// Whether the password may be looked at now.
    ///
    /// # Errors
    /// How many seconds to wait.
    pub(super) fn admit(&mut self, attempt: &Attempt, now_unix_s: i64) -> Result<(), i64> {
        if let Some(browser) = attempt.browser {
            return self.wait(&Key::Browser(browser.0), SIGN_IN_FREE, now_unix_s);
        }
        let address = Key::Address(group(attempt.remote));
        self.wait(&address, SIGN_IN_FREE, now_unix_s)?;
        if self.count(&address, now_unix_s) > 0 {
            let name = Key::Name(attempt.name.clone());
            self.wait(&name, SIGN_IN_NAME_FREE, now_unix_s)?;
        }
        if self.second != now_unix_s {
            (self.second, self.looked_at) = (now_unix_s, 0);
        }
        if self.looked_at >= SIGN_IN_PER_SECOND {
            return Err(1);
        }
        self.looked_at += 1;
        Ok(())
    }

    /// The password was wrong.
    pub(super) fn failed(&mut self, attempt: &Attempt, now_unix_s: i64) {
        match attempt.browser {
            Some(browser) => self.count_one(Key::Browser(browser.0), now_unix_s),
            None => {
                self.count_one(Key::Address(group(attempt.remote)), now_unix_s);
                self.count_one(Key::Name(attempt.name.clone()), now_unix_s);
            }
        }
    }

    /// The password was right: the browser's own count, or the address's, begins anew.
    pub(super) fn succeeded(&mut self, attempt: &Attempt) {
        let key = match attempt.browser {
            Some(browser) => Key::Browser(browser.0),
            None => Key::Address(group(attempt.remote)),
        };
        self.wrong.remove(&key);
    }

    fn count(&self, key: &Key, now_unix_s: i64) -> u32 {
        let recent = |wrong: &&Wrong| now_unix_s - wrong.last_unix_s < SIGN_IN_MEMORY_S;
        self.wrong
            .get(key)
            .filter(recent)
            .map_or(0, |wrong| wrong.count)
    }

    fn wait(&self, key: &Key, free: u32, now_unix_s: i64) -> Result<(), i64> {
        let Some(beyond) = self.count(key, now_unix_s).checked_sub(free) else {
            return Ok(());
        };
        let wait_s = (1_i64 << beyond.min(20)).min(SIGN_IN_WAIT_S_MAX);
        let since = self.wrong.get(key).map_or(0, |wrong| wrong.last_unix_s);
        match since + wait_s - now_unix_s {
            left if left > 0 => Err(left),
            _ => Ok(()),
        }
    }

    fn count_one(&mut self, key: Key, now_unix_s: i64) {
        let count = self.count(&key, now_unix_s).saturating_add(1);
        let wrong = Wrong {
            count,
            last_unix_s: now_unix_s,
        };
        if self.wrong.insert(key.clone(), wrong).is_none() {
            self.order.push_back(key);
        }
        while self.wrong.len() > SIGN_IN_REMEMBERED_MAX || self.order.len() > 2 * self.wrong.len() {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.wrong.remove(&oldest);
        }
    }
}

/// Hosts choose the lower half of an IPv6 address freely.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8, browser: Option<u8>) -> Attempt {
        Attempt {
            remote: IpAddr::from([192, 0, 2, last]),
            name: "admin".into(),
            browser: browser.map(|byte| SecretHash([byte; 32])),
        }
    }

    /// Tries wrong passwords until told to wait; gives how many were looked at.
    fn guess(throttle: &mut Throttle, attempt: &Attempt, now: &mut i64) -> u32 {
        let mut guessed = 0;
        while throttle.admit(attempt, *now).is_ok() {
            throttle.failed(attempt, *now);
            guessed += 1;
            *now += 1;
            assert!(guessed < 1_000, "nobody is told to wait");
        }
        guessed
    }

    #[test]
    fn an_address_waits_longer_each_time_and_the_known_browser_never_for_it() {
        let (mut throttle, mut now) = (Throttle::default(), 1_000);
        let attacker = from(66, None);
        assert!((SIGN_IN_FREE..SIGN_IN_FREE + 3).contains(&guess(
            &mut throttle,
            &attacker,
            &mut now
        )));
        for _ in 0..40 {
            now += throttle.admit(&attacker, now).err().unwrap_or(0);
            assert_eq!(throttle.admit(&attacker, now), Ok(()));
            throttle.failed(&attacker, now);
        }
        assert_eq!(throttle.admit(&attacker, now), Err(SIGN_IN_WAIT_S_MAX));
        // The administrator at the known browser, even behind the attacker's address.
        assert_eq!(throttle.admit(&from(66, Some(1)), now), Ok(()));
        // And from a new browser at an address that never erred.
        assert_eq!(throttle.admit(&from(7, None), now), Ok(()));
        // After a while all is forgotten.
        assert_eq!(throttle.admit(&attacker, now + SIGN_IN_MEMORY_S), Ok(()));
    }

    #[test]
    fn many_addresses_together_have_to_wait_for_one_name() {
        let (mut throttle, mut now) = (Throttle::default(), 1_000);
        let mut looked_at = 0;
        for round in 0..4 {
            for host in 0..200 {
                let attempt = from(host, None);
                if throttle.admit(&attempt, now).is_ok() {
                    throttle.failed(&attempt, now);
                    looked_at += u32::from(round > 0);
                }
                now += 1;
            }
        }
        assert!(looked_at < 60, "{looked_at} further guesses in ten minutes");
    }

    #[test]
    fn so_many_passwords_a_second_and_no_more_of_strangers() {
        let mut throttle = Throttle::default();
        let admitted = (0..100).filter(|host| throttle.admit(&from(*host, None), 5).is_ok());
        assert_eq!(admitted.count(), SIGN_IN_PER_SECOND as usize);
        assert_eq!(throttle.admit(&from(1, Some(1)), 5), Ok(()));
        assert_eq!(throttle.admit(&from(1, None), 6), Ok(()));
    }

    #[test]
    fn a_known_browser_has_a_count_of_its_own_and_memory_is_bounded() {
        let (mut throttle, mut now) = (Throttle::default(), 1_000);
        assert!(guess(&mut throttle, &from(1, Some(1)), &mut now) < 10);
        throttle.succeeded(&from(1, Some(1)));
        assert_eq!(throttle.admit(&from(1, Some(1)), now), Ok(()));
        for number in 0..3 * SIGN_IN_REMEMBERED_MAX as u32 {
            let attempt = Attempt {
                remote: IpAddr::from(number.to_be_bytes()),
                name: number.to_string(),
                browser: None,
            };
            throttle.failed(&attempt, now);
        }
        assert!(throttle.wrong.len() <= SIGN_IN_REMEMBERED_MAX);
        assert!(throttle.order.len() <= 2 * SIGN_IN_REMEMBERED_MAX);
    }
}
