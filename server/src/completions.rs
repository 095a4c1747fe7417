//! How other threads hand their results to the event loop that waits for them.
//!
//! A loop owns a [`Completions`]; every other thread holds a [`CompletionSender`]. The loop is
//! woken once for a burst: only the first send after the loop began to drain rings the waker.

use std::sync::Arc;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::channel::{Receiver, Sender, TryIter, unbounded};

/// The loop's end. Its queue is bounded by what the loop has in flight.
pub struct Completions<T> {
    receiver: Receiver<T>,
    sender: CompletionSender<T>,
}

/// The other threads' end.
pub struct CompletionSender<T> {
    sender: Sender<T>,
    rung: Arc<AtomicBool>,
    ring: Arc<dyn Fn() + Send + Sync>,
}

impl<T> Clone for CompletionSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            rung: Arc::clone(&self.rung),
            ring: Arc::clone(&self.ring),
        }
    }
}

impl<T> Completions<T> {
    /// `ring` wakes the loop.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        let (sender, receiver) = unbounded();
        let rung = Arc::new(AtomicBool::new(false));
        Self {
            receiver,
            sender: CompletionSender {
                sender,
                rung,
                ring: Arc::new(ring),
            },
        }
    }

    /// An end for another thread.
    #[must_use]
    pub fn sender(&self) -> CompletionSender<T> {
        self.sender.clone()
    }

    /// What has come; a result that comes from now on rings again.
    pub fn drain(&self) -> TryIter<'_, T> {
        // Cleared before the queue is read: a result sent in between rings once too often, never
        // too seldom.
        self.sender.rung.store(false, Ordering::SeqCst);
        self.receiver.try_iter()
    }
}

impl<T> CompletionSender<T> {
    /// Hands `result` over and wakes the loop. A loop that has ended takes nothing: nobody waits.
    pub fn send(&self, result: T) {
        if self.sender.send(result).is_ok() && !self.rung.swap(true, Ordering::SeqCst) {
            (self.ring)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_burst_rings_once_and_nothing_is_left_unrung() {
        let rings = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&rings);
        let completions = Completions::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let sender = completions.sender();
        (0..5).for_each(|result| sender.send(result));
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        assert_eq!(completions.drain().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        sender.send(5);
        assert_eq!(rings.load(Ordering::SeqCst), 2);
    }
}
