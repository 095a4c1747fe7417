//! Every probe that is taken is answered once, from a view no older than the probe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cardea::access::SearchEnd;
use cardea_engine::{
    DIM, Embedding, Kernel, ModelId, PersonId, ReferenceId, Row, Searcher, Threshold, View,
};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use crate::completions::Completions;
use crate::sync::ArcSwap;
use crate::work::{Probe, SearchDone, Searched, Waiting, WorkQueue};

const LOOPS: u64 = 2;
const EACH: u64 = 3;
const LONG: Duration = Duration::from_secs(3_600);

fn face() -> Embedding {
    let mut numbers = [0.0; DIM];
    numbers[3] = 1.0;
    Embedding::new(&numbers).expect("of unit length")
}

fn searched() -> Searched {
    let row = Row {
        reference: ReferenceId(1),
        person: PersonId(1),
        embedding: face(),
    };
    let view = View::empty(ModelId([0; 16])).with_enrolled(&[row], 1);
    Searched {
        view: view.expect("a view"),
        threshold: Threshold::new(0.5).expect("a score"),
    }
}

/// Two loops ask while the writer withdraws the only person. Fails, as a deadlock, if `take_batch`
/// drops the first probe; fails if the search thread loads the view once, before its loop, or if
/// `Pace::end` is left out.
pub fn run(count: usize) -> usize {
    super::schedules(count, || {
        let published = Arc::new(ArcSwap::from_pointee(searched()));
        let withdrawn = Arc::new(AtomicBool::new(false));
        let kernel = Kernel::by_name("scalar").expect("always there");
        let searcher = Searcher::new(kernel, 1).expect("the caller's thread");
        let started = WorkQueue::start(searcher, Arc::clone(&published), || panic!("damage"));
        let (queue, search) = started.expect("a thread");
        let progress = queue.progress();
        let loops: Vec<_> = (0..LOOPS)
            .map(|_| {
                let (queue, withdrawn) = (queue.clone(), Arc::clone(&withdrawn));
                thread::spawn(move || ask(&queue, &withdrawn))
            })
            .collect();
        drop(queue);
        let view = searched()
            .view
            .with_withdrawn(&[ReferenceId(1)], 2)
            .expect("a view");
        let threshold = searched().threshold;
        published.store(Arc::new(Searched { view, threshold }));
        withdrawn.store(true, Ordering::SeqCst);
        for each in loops {
            each.join().expect("it ends well");
        }
        search.join().expect("it ends with its queue");
        let progress = progress();
        assert_eq!(progress.begun, progress.ended, "a batch does not end");
    })
}

/// A loop: hands probes in, and waits for each that was taken.
fn ask(queue: &WorkQueue<SearchDone>, withdrawn: &AtomicBool) {
    let bell = Arc::new((Mutex::new(false), Condvar::new()));
    let rings = Arc::clone(&bell);
    let done = Completions::new(move || {
        *rings.0.lock().expect("nobody panics with it") = true;
        rings.1.notify_one();
    });
    let mut taken = Vec::new();
    for ticket in 0..EACH {
        let after = withdrawn.load(Ordering::SeqCst);
        let queued = Instant::now();
        let waiting = Waiting {
            queued,
            deadline: queued + LONG,
            ticket,
            done: done.sender(),
        };
        let embedding = face();
        if queue.submit(Probe { embedding, waiting }).is_ok() {
            taken.push((ticket, after));
        }
    }
    let mut answered = Vec::new();
    while answered.len() < taken.len() {
        let mut rung = bell.0.lock().expect("nobody panics with it");
        while !*rung {
            rung = bell.1.wait(rung).expect("nobody panics with it");
        }
        *rung = false;
        drop(rung);
        answered.extend(done.drain());
    }
    for ((ticket, after), done) in taken.into_iter().zip(answered) {
        assert_eq!(done.ticket, ticket, "each once, in order");
        let SearchEnd::Candidates(list) = done.end else {
            panic!("{:?}", done.end);
        };
        assert!(!(after && list.best().is_some()), "found in an older view");
    }
}
