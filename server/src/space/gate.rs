//! Where the loop that waits for a door and the thread that asks Space to open it meet: one of
//! them comes first. Either the request goes out, and whoever waited may only say "outcome
//! unknown"; or it never does, and then nothing can open after the device was told "denied".
//!
//! ```text
//!              pass, permitted              shut, or pass and not permitted
//!   Passed <------------------- Waiting -------------------------------------> Shut(why)
//!      |                                                                          ^
//!      +--- pass again, not permitted, or shut after the first time: the ---------+
//!           connection had taken no byte
//! ```

use cardea_wire::Reason;

use crate::sync::atomic::{AtomicU32, Ordering};

const WAITING: u32 = 0;
const PASSED: u32 = 1;
/// With the reason's code above it.
const SHUT: u32 = 2;
/// Beside `PASSED`, with the reason's code above it: no second look.
const NOT_AGAIN: u32 = 4;
const REASON_SHIFT: u32 = 16;

/// The gate of one attempt.
#[derive(Debug, Default)]
pub struct Gate(AtomicU32);

impl Gate {
    /// The last look before the first byte: asks `permit` and opens the gate if it says yes. May
    /// be asked again while nothing was sent.
    pub fn pass(&self, permit: impl FnOnce() -> Result<(), Reason>) -> bool {
        let state = self.0.load(Ordering::SeqCst);
        if state & SHUT != 0 {
            return false;
        }
        if state & NOT_AGAIN != 0 {
            // Nobody waits for it any more, and the first look has sent nothing.
            self.0.store(
                state >> REASON_SHIFT << REASON_SHIFT | SHUT,
                Ordering::SeqCst,
            );
            return false;
        }
        if let Err(why) = permit() {
            self.0.store(shut(why), Ordering::SeqCst);
            return false;
        }
        let passed = self
            .0
            .compare_exchange(WAITING, PASSED, Ordering::SeqCst, Ordering::SeqCst);
        passed.is_ok() || passed == Err(PASSED)
    }

    /// Shuts the gate, unless it is. Returns whether Space has not been asked, and never will be;
    /// else it may have been, and there is no second look.
    pub fn shut_for(&self, why: Reason) -> bool {
        let exchange = |from, to| {
            self.0
                .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
        };
        match exchange(WAITING, shut(why)) {
            Ok(_) => true,
            Err(state) => {
                let not_again = PASSED | NOT_AGAIN | u32::from(why.code()) << REASON_SHIFT;
                // Whoever came in between has shut it, or said the same.
                let _ = exchange(PASSED, not_again);
                state & SHUT != 0
            }
        }
    }

    /// Why it is shut, if it is.
    #[must_use]
    pub fn why_shut(&self) -> Option<Reason> {
        let state = self.0.load(Ordering::SeqCst);
        if state & SHUT == 0 {
            return None;
        }
        let code = u16::try_from(state >> REASON_SHIFT).ok();
        code.and_then(Reason::from_code)
    }
}

fn shut(why: Reason) -> u32 {
    SHUT | u32::from(why.code()) << REASON_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the gate, an open that waited for a connection could go out after its device had
    /// been told "outcome unknown", and one that was withheld was told "access control
    /// unavailable" whatever the reason.
    #[test]
    fn whoever_comes_first_decides() {
        let gate = Gate::default();
        assert!(gate.pass(|| Ok(())) && gate.pass(|| Ok(())));
        assert!(!gate.shut_for(Reason::SpaceUnavailable));
        assert_eq!(gate.why_shut(), None);

        let gate = Gate::default();
        assert!(gate.shut_for(Reason::SpaceUnavailable));
        assert!(!gate.pass(|| unreachable!("nobody asks any more")));
        assert!(gate.shut_for(Reason::Withdrawn));
        assert_eq!(gate.why_shut(), Some(Reason::SpaceUnavailable));
    }

    #[test]
    fn the_last_look_says_why_not_also_the_second_time() {
        let gate = Gate::default();
        assert!(!gate.pass(|| Err(Reason::Withdrawn)));
        assert_eq!(gate.why_shut(), Some(Reason::Withdrawn));

        let gate = Gate::default();
        assert!(gate.pass(|| Ok(())) && !gate.pass(|| Err(Reason::Banned)));
        assert_eq!(gate.why_shut(), Some(Reason::Banned));
        assert!(!gate.pass(|| Ok(())));
    }

    /// A device that went between two looks, the first connection having turned out to be closed,
    /// once had its door opened all the same.
    #[test]
    fn there_is_no_second_look_once_nobody_waits() {
        let gate = Gate::default();
        assert!(gate.pass(|| Ok(())));
        assert!(!gate.shut_for(Reason::Interrupted), "it may be on its way");
        assert_eq!(gate.why_shut(), None);
        assert!(!gate.pass(|| unreachable!("nobody asks any more")));
        assert_eq!(gate.why_shut(), Some(Reason::Interrupted));
    }
}
