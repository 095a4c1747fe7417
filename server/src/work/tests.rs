//! Batching, lateness and refusal, without the thread where its timing would decide.

use std::sync::mpsc;

use cardea_engine::{DIM, Kernel, ModelId, PersonId, ReferenceId, Row};

use super::*;
use crate::completions::Completions;

fn axis(axis: usize) -> Embedding {
    let mut numbers = [0.0; DIM];
    numbers[axis] = 1.0;
    Embedding::new(&numbers).expect("of unit length")
}

/// People 0 to 99, each on an axis of their own.
fn searched() -> Searched {
    let rows: Vec<_> = (0..100)
        .map(|person| Row {
            reference: ReferenceId(person + 1),
            person: PersonId(person),
            embedding: axis(person as usize),
        })
        .collect();
    let view = View::empty(ModelId([0; 16])).with_enrolled(&rows, 1);
    Searched {
        view: view.expect("a view"),
        threshold: Threshold::new(0.5).expect("a score"),
    }
}

fn searcher() -> Searcher {
    let kernel = Kernel::by_name("scalar").expect("always there");
    Searcher::new(kernel, 1).expect("one thread")
}

/// A probe of somebody, who has so long.
fn probe(
    ticket: u64,
    now: Instant,
    left: Duration,
    done: &Completions<SearchDone>,
) -> Probe<SearchDone> {
    Probe {
        embedding: axis(ticket as usize % 200),
        waiting: Waiting {
            queued: now,
            deadline: now + left,
            ticket,
            done: done.sender(),
        },
    }
}

/// A queue that nobody takes from but the test.
fn queue() -> (WorkQueue<SearchDone>, Receiver<Probe<SearchDone>>) {
    let (sender, receiver) = bounded(PROBES_QUEUED_MAX);
    let pace = Arc::new(Pace::default());
    (WorkQueue { sender, pace }, receiver)
}

const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn what_waits_is_searched_together_and_each_gets_its_own_answer() {
    let done = Completions::new(|| {});
    let (queue, receiver) = queue();
    let now = Instant::now();
    let probes = PROBES_IN_BATCH_MAX as u64 + 40;
    for ticket in 0..probes {
        assert_eq!(queue.submit(probe(ticket, now, LONG, &done)), Ok(()));
    }
    let (mut batch, mut sizes) = (Batch::default(), Vec::new());
    while !receiver.is_empty() {
        assert!(take_batch(&receiver, &mut batch));
        sizes.push(batch.taken.len());
        let damaged = || panic!("damage");
        search_batch(
            &searcher(),
            &searched(),
            &mut batch,
            &queue.pace,
            &damaged,
            Instant::now,
        );
    }
    assert_eq!(sizes, [PROBES_IN_BATCH_MAX, 40]);
    let mut answered: Vec<_> = done.drain().collect();
    answered.sort_by_key(|done| done.ticket);
    assert_eq!(answered.len() as u64, probes);
    for (done, ticket) in answered.iter().zip(0..) {
        let SearchEnd::Candidates(list) = &done.end else {
            panic!("{:?}", done.end);
        };
        let found = list.as_slice().iter().map(|candidate| candidate.person.0);
        let due: Vec<u64> = (0..100).filter(|person| *person == ticket).collect();
        assert_eq!((done.ticket, found.collect::<Vec<_>>()), (ticket, due));
    }
    drop(queue);
    assert!(
        !take_batch(&receiver, &mut batch),
        "it ends with the last sender"
    );
}

#[test]
fn whoever_is_late_is_told_and_holds_nobody_up() {
    let done = Completions::new(|| {});
    let (queue, receiver) = queue();
    let now = Instant::now();
    queue.submit(probe(1, now, LONG, &done)).expect("room");
    // Its deadline is past when its turn comes: a nanosecond after it was put there.
    queue
        .submit(probe(2, now, Duration::from_nanos(1), &done))
        .expect("room");
    queue.submit(probe(3, now, LONG, &done)).expect("room");
    let mut batch = Batch::default();
    assert!(take_batch(&receiver, &mut batch));
    let damaged = || panic!("damage");
    search_batch(
        &searcher(),
        &searched(),
        &mut batch,
        &queue.pace,
        &damaged,
        Instant::now,
    );
    let ends: Vec<_> = done
        .drain()
        .map(|done| (done.ticket, matches!(done.end, SearchEnd::Late)))
        .collect();
    assert_eq!(ends, [(2, true), (1, false), (3, false)]);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let done = Completions::new(|| {});
    let (queue, receiver) = queue();
    let now = Instant::now();
    for ticket in 0..PROBES_QUEUED_MAX as u64 {
        assert_eq!(queue.submit(probe(ticket, now, LONG, &done)), Ok(()));
    }
    assert_eq!(
        queue.submit(probe(9_999, now, LONG, &done)),
        Err(Overloaded)
    );
    assert_eq!(queue.waiting()(), PROBES_QUEUED_MAX as u32);
    receiver.recv().expect("one leaves");
    assert_eq!(queue.submit(probe(9_999, now, LONG, &done)), Ok(()));
}

#[test]
fn a_probe_that_would_be_late_is_refused_at_the_door() {
    let done = Completions::new(|| {});
    let (queue, _receiver) = queue();
    let now = Instant::now();
    // Lone probes, then full batches: four of seven decide. 10 ms a probe.
    (0..60).for_each(|_| queue.pace.note(10_000));
    (0..4).for_each(|_| queue.pace.note(640_000));
    let second = Duration::from_secs(1);
    for ticket in 0..100 {
        assert_eq!(queue.submit(probe(ticket, now, second, &done)), Ok(()));
    }
    // A hundred wait: a second's work.
    assert_eq!(
        queue.submit(probe(100, now, second, &done)),
        Err(Overloaded)
    );
    assert_eq!(
        queue.submit(probe(100, now, LONG, &done)),
        Ok(()),
        "who has time may wait"
    );
}

/// Fails if `note` takes the mean of the passes: at 3.2 ms a probe the 554th is refused.
#[test]
fn passes_that_stutter_refuse_nobody() {
    let done = Completions::new(|| {});
    let (queue, _receiver) = queue();
    let now = Instant::now();
    (0..60).for_each(|_| queue.pace.note(64_000));
    (0..3).for_each(|_| queue.pace.note(400_000));
    let left = Duration::from_millis(1_800);
    for ticket in 0..1_500 {
        assert_eq!(queue.submit(probe(ticket, now, left, &done)), Ok(()));
    }
}

/// Fails if `note` divides by the probes of the batch: 10 ms for one would refuse the hundredth.
#[test]
fn a_burst_after_lone_probes_is_let_in() {
    let done = Completions::new(|| {});
    let (queue, receiver) = queue();
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut batch = Batch::default();
    for ticket in 0..60 {
        queue.submit(probe(ticket, now, LONG, &done)).expect("room");
        assert!(take_batch(&receiver, &mut batch));
        // Each of them took 10 ms, by a clock of its own.
        let asked = std::cell::Cell::new(0_u32);
        let clock = || now + Duration::from_millis(10) * asked.replace(1);
        let damaged = || panic!("damage");
        search_batch(
            &searcher(),
            &searched(),
            &mut batch,
            &queue.pace,
            &damaged,
            clock,
        );
    }
    for ticket in 0..1_000 {
        assert_eq!(queue.submit(probe(ticket, now, second, &done)), Ok(()));
    }
}

#[test]
fn the_thread_answers_a_lone_probe_and_ends_with_its_queue() {
    let (rings, rung) = mpsc::channel();
    let done = Completions::new(move || {
        // The test may have heard enough.
        let _ = rings.send(());
    });
    let published = Arc::new(ArcSwap::from_pointee(searched()));
    let (queue, thread) = WorkQueue::start(searcher(), Arc::clone(&published), || panic!("damage"))
        .expect("a thread");
    let ask = |ticket| {
        queue
            .submit(probe(ticket, Instant::now(), LONG, &done))
            .expect("room");
        rung.recv().expect("it rings");
        let done = done.drain().next().expect("an answer");
        match done.end {
            SearchEnd::Candidates(list) => list.best().map(|best| best.person.0),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(5), Some(5));
    // What the writer publishes is what the next probe is searched in.
    let mut next = searched();
    next.view = next
        .view
        .with_withdrawn(&[ReferenceId(6)], 2)
        .expect("a view");
    published.store(Arc::new(next));
    assert_eq!(ask(5), None);
    assert_eq!(ask(6), Some(6));
    drop(queue);
    thread.join().expect("it ends well");
}
