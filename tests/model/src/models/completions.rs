//! No result lies in a loop's queue with nobody having rung.

use std::sync::Arc;

use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use crate::completions::Completions;

const SENDERS: u32 = 2;
const EACH: u32 = 3;

/// A loop that sleeps until it is rung gets every result. Fails, as a deadlock, if
/// `CompletionSender::send` rings before it puts the result into the queue, or if
/// `Completions::drain` does not clear the flag, or clears it after reading.
pub fn run(count: usize) -> usize {
    super::schedules(count, || {
        let bell = Arc::new((Mutex::new(false), Condvar::new()));
        let rings = Arc::clone(&bell);
        let completions = Completions::new(move || {
            *rings.0.lock().expect("nobody panics with it") = true;
            rings.1.notify_one();
        });
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| {
                let sender = completions.sender();
                thread::spawn(move || (0..EACH).for_each(|each| sender.send(number * EACH + each)))
            })
            .collect();
        let mut came = Vec::new();
        while came.len() < (SENDERS * EACH) as usize {
            let mut rung = bell.0.lock().expect("nobody panics with it");
            while !*rung {
                rung = bell.1.wait(rung).expect("nobody panics with it");
            }
            *rung = false;
            drop(rung);
            came.extend(completions.drain());
        }
        came.sort_unstable();
        assert_eq!(came, (0..SENDERS * EACH).collect::<Vec<_>>());
        for sender in senders {
            sender.join().expect("it ends well");
        }
    })
}
