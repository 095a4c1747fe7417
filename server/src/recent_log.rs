//! The newest lines of the log, kept in memory for diagnostics, besides where the log goes.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::LOG_KEPT_BYTES_MAX;

static KEPT: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());

/// Writes to standard error, and keeps a copy.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tee;

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        keep(&mut lock(), bytes, LOG_KEPT_BYTES_MAX);
        // Nobody may be listening any more; the copy is still worth having.
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// What is kept, oldest first; it may begin in the middle of a line.
#[must_use]
pub fn text() -> String {
    let kept: Vec<u8> = lock().iter().copied().collect();
    String::from_utf8_lossy(&kept).into_owned()
}

fn lock() -> MutexGuard<'static, VecDeque<u8>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(kept: &mut VecDeque<u8>, bytes: &[u8], max: usize) {
    let bytes = &bytes[bytes.len().saturating_sub(max)..];
    let excess = (kept.len() + bytes.len()).saturating_sub(max);
    kept.drain(..excess);
    kept.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails without the drain.
    #[test]
    fn the_newest_bytes_stay() {
        let mut kept = VecDeque::new();
        for line in [&b"one\n"[..], b"two\n", b"three\n"] {
            keep(&mut kept, line, 10);
        }
        assert_eq!(kept, b"two\nthree\n");
        keep(&mut kept, b"longer than it all", 10);
        assert_eq!(kept, b"han it all");
    }
}
