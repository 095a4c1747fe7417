//! Work in pieces over all cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Makes pieces 0..`pieces` on all cores and takes them in order. A few pieces lie in memory at
/// once.
///
/// # Errors
/// The first error of `take`.
pub(crate) fn in_order<T: Send, E>(
    pieces: u64,
    make: &(dyn Fn(u64) -> T + Sync),
    take: &mut dyn FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = cores();
    thread::scope(|scope| {
        let receivers: Vec<_> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(2);
                scope.spawn(move || {
                    // An early end of the receiver is an error that its side reports.
                    let mine = (first..pieces).step_by(threads as usize);
                    let _ = mine.map(make).try_for_each(|piece| sender.send(piece));
                });
                receiver
            })
            .collect();
        for (_, receiver) in (0..pieces).zip(receivers.iter().cycle()) {
            let piece = receiver.recv();
            take(piece.expect("a thread sends all its pieces unless it panicked"))?;
        }
        Ok(())
    })
}

/// Lets each core work on pieces as it finds time; one result per thread.
pub(crate) fn in_any_order<T: Send>(
    pieces: u64,
    work: &(dyn Fn(&mut dyn Iterator<Item = u64>) -> T + Sync),
) -> Vec<T> {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..cores())
            .map(|_| {
                scope.spawn(|| {
                    let take = || Some(next.fetch_add(1, Ordering::Relaxed));
                    let mut mine = std::iter::from_fn(take).take_while(|piece| *piece < pieces);
                    work(&mut mine)
                })
            })
            .collect();
        let joined = handles.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|result| result.expect("a worker that panicked has said why"))
            .collect()
    })
}

fn cores() -> u64 {
    thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}
