//! A side module's thread that panics is logged and begins again; the access path goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

/// Between a panic and the next beginning, so that one that comes at once does not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs `body` until it returns; after a panic, again.
pub(super) fn supervised(name: &str, mut body: impl FnMut()) {
    while catch_unwind(AssertUnwindSafe(&mut body)).is_err() {
        tracing::error!(module = name, "panicked; starting it again");
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when the panic is not caught: the test itself would end with it.
    #[test]
    fn a_panic_is_followed_by_another_run() {
        let mut runs = 0;
        supervised("test", || {
            runs += 1;
            assert!(runs > 1, "the first run panics");
        });
        assert_eq!(runs, 2);
    }
}
