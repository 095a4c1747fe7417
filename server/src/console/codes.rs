//! Commissioning codes that were just made, so that their page can show them again. The store has
//! only their hash; a restart forgets them, and the page makes another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::limits::CODES_SHOWN_MAX;

/// Codes that can be shown again.
#[derive(Default)]
pub(super) struct Codes(Mutex<Kept>);

/// The last number, and each device's code with the number it was kept under.
#[derive(Default)]
struct Kept(u64, HashMap<String, (u64, String)>);

impl Codes {
    /// Keeps a code, in place of any for this device; the oldest goes past the bound.
    pub(super) fn keep(&self, device: &str, code: String) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept(last, by_name) = &mut *codes;
        *last += 1;
        by_name.insert(device.to_owned(), (*last, code));
        if by_name.len() > CODES_SHOWN_MAX {
            let oldest = by_name.iter().min_by_key(|(_, (number, _))| *number);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                by_name.remove(&name);
            }
        }
    }

    /// The code of a device.
    pub(super) fn of(&self, device: &str) -> Option<String> {
        let codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.1.get(device).map(|(_, code)| code.clone())
    }

    /// Forgets the code of a device.
    pub(super) fn forget(&self, device: &str) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.1.remove(device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `max_by_key` instead of `min_by_key` fails this.
    #[test]
    fn the_oldest_goes_past_the_bound() {
        let codes = Codes::default();
        for number in 0..=CODES_SHOWN_MAX {
            codes.keep(&format!("d{number}"), format!("c{number}"));
        }
        assert_eq!(codes.of("d0"), None);
        assert_eq!(codes.of("d1").as_deref(), Some("c1"));
        codes.keep("d1", "again".to_owned());
        assert_eq!(codes.of("d1").as_deref(), Some("again"));
        codes.forget("d1");
        assert_eq!(codes.of("d1"), None);
    }
}
