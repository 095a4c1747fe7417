//! What loops count comes to the totals once, whoever is behind.

use std::time::Duration;

use cardea::metrics::Interval;
use cardea_wire::Reason;
use shuttle::thread;

use crate::handover;

const LOOPS: u64 = 2;
const EACH: u64 = 3;

fn counted(interval: &Interval) -> u64 {
    interval.counts.answers().map(|(_, count)| count).sum()
}

/// Two loops hand over through room for one interval. Fails if `Handover::hand_over` does not put
/// an interval back that found no room, or if `Gathering::one_interval` recycles one that it has
/// not emptied.
pub fn run(count: usize) -> usize {
    super::schedules(count, || {
        let (handover, gathering) = handover::pair(1);
        let loops: Vec<_> = (0..LOOPS)
            .map(|_| {
                let handover = handover.clone();
                thread::spawn(move || {
                    let mut current = Box::<Interval>::default();
                    for _ in 0..EACH {
                        current.counts.answer(Reason::NoMatch);
                        handover.hand_over(&mut current);
                    }
                    counted(&current)
                })
            })
            .collect();
        drop(handover);
        let observer = thread::spawn(move || {
            let mut latest = Interval::default();
            while gathering.one_interval(Duration::from_secs(1), &mut latest) {}
            counted(&latest)
        });
        let kept: u64 = loops
            .into_iter()
            .map(|each| each.join().expect("it ends well"))
            .sum();
        let gathered = observer.join().expect("it ends well");
        assert_eq!(gathered + kept, LOOPS * EACH);
    })
}
