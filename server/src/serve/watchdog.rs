//! What the service manager is told: ready, stopping, and that the server is alive.
//!
//! Alive means that each event loop and the writer answered a question since the last look, and
//! that the search thread has moved if there is something to search. The manager is told so only
//! then; told nothing for its watchdog's time, it ends the process and starts it anew.

use std::io;
use std::net::SocketAddr;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use sd_notify::NotifyState;

use crate::api::Completion;
use crate::completions::CompletionSender;
use crate::limits::WATCHDOG_LOOKS;
use crate::work::Progress;
use crate::writer::{Command, WriterHandle};

/// The parts that must be alive.
pub(super) struct Vitals {
    /// Each event loop.
    pub(super) loops: Vec<CompletionSender<Completion>>,
    /// The writer.
    pub(super) writer: WriterHandle,
    /// The search thread.
    pub(super) search: Box<dyn Fn() -> Progress + Send>,
}

/// Tells the service manager that requests are served, and from now on that they still are. Does
/// nothing where there is no service manager.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn ready(address: SocketAddr, vitals: Vitals) -> io::Result<()> {
    let status = format!("serving on {address}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return Ok(());
    };
    let mut watch = Watch::new(vitals);
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            loop {
                thread::park_timeout(patience / WATCHDOG_LOOKS);
                match watch.look() {
                    None => tell(&[NotifyState::Watchdog]),
                    Some(part) => tracing::error!(part, "does not answer"),
                }
            }
        })?;
    Ok(())
}

/// Tells the service manager that the server ends of its own will.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Without a manager this does nothing; a manager that cannot be reached cannot be helped.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// A part that answers questions, and the question that is open.
struct Pulse {
    name: &'static str,
    ask: Box<dyn FnMut(Sender<()>) + Send>,
    open: Receiver<()>,
}

impl Pulse {
    fn new(name: &'static str, mut ask: impl FnMut(Sender<()>) + Send + 'static) -> Self {
        let (answer, open) = bounded(1);
        ask(answer);
        Self {
            name,
            ask: Box::new(ask),
            open,
        }
    }

    /// Whether the last question was answered; if so, asks the next.
    fn beats(&mut self) -> bool {
        let answer = self.open.try_recv();
        if answer != Err(TryRecvError::Empty) {
            let (next, open) = bounded(1);
            (self.ask)(next);
            self.open = open;
        }
        answer.is_ok()
    }
}

/// All parts, and where the search was at the last look.
struct Watch {
    pulses: Vec<Pulse>,
    search: Box<dyn Fn() -> Progress + Send>,
    last: Progress,
}

impl Watch {
    fn new(vitals: Vitals) -> Self {
        let mut pulses: Vec<_> = vitals
            .loops
            .into_iter()
            .map(|done| Pulse::new("loop", move |answer| done.send(Completion::Alive(answer))))
            .collect();
        let writer = vitals.writer;
        pulses.push(Pulse::new("writer", move |answer| {
            // A queue that is full drops the question: no sign of life, and it is asked again.
            let _ = writer.try_send(Command::Alive(answer));
        }));
        let last = (vitals.search)();
        Self {
            pulses,
            search: vitals.search,
            last,
        }
    }

    /// The first part that shows no life since the last look.
    fn look(&mut self) -> Option<&'static str> {
        let now = (self.search)();
        let search_stands = stands(self.last, now);
        self.last = now;
        let mut silent = search_stands.then_some("search");
        for pulse in &mut self.pulses {
            if !pulse.beats() {
                silent = silent.or(Some(pulse.name));
            }
        }
        silent
    }
}

/// Whether a search had something to do between two looks and did not do it.
fn stands(last: Progress, now: Progress) -> bool {
    let in_the_middle = last.begun != last.ended;
    (in_the_middle || last.waiting > 0) && last.ended == now.ended
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use crossbeam_channel::unbounded;

    use super::*;
    use crate::completions::Completions;
    use crate::writer;

    fn progress(waiting: u32, begun: u32, ended: u32) -> Progress {
        Progress {
            waiting,
            begun,
            ended,
        }
    }

    /// Fails if a part is not asked, or an answer is taken that was not given since.
    #[test]
    fn each_part_must_answer_between_two_looks() {
        let completions = Completions::new(|| {});
        let (handle, commands) = writer::queue();
        let search = Arc::new(Mutex::new(Progress::default()));
        let shared = Arc::clone(&search);
        let mut watch = Watch::new(Vitals {
            loops: vec![completions.sender()],
            writer: handle,
            search: Box::new(move || *shared.lock().unwrap_or_else(PoisonError::into_inner)),
        });
        let loop_answers = || {
            for completion in completions.drain() {
                if let Completion::Alive(answer) = completion {
                    answer.send(()).expect("a place for it");
                }
            }
        };
        let writer_answers = || {
            for command in commands.try_iter() {
                if let Command::Alive(answer) = command {
                    answer.send(()).expect("a place for it");
                }
            }
        };
        loop_answers();
        writer_answers();
        assert_eq!(watch.look(), None);
        writer_answers();
        assert_eq!(watch.look(), Some("loop"));
        assert_eq!(watch.look(), Some("loop"), "an old answer is not taken");
        loop_answers();
        assert_eq!(watch.look(), Some("writer"));
        writer_answers();
        loop_answers();
        assert_eq!(watch.look(), None);
        *search.lock().expect("no panic") = progress(0, 5, 4);
        writer_answers();
        loop_answers();
        assert_eq!(watch.look(), None, "a search has just begun");
        writer_answers();
        loop_answers();
        assert_eq!(watch.look(), Some("search"));
    }

    #[test]
    fn a_search_stands_only_with_something_to_do() {
        assert!(!stands(progress(0, 4, 4), progress(0, 4, 4)), "idle");
        assert!(!stands(progress(9, 5, 4), progress(9, 6, 5)), "busy");
        assert!(stands(progress(0, 5, 4), progress(3, 5, 4)), "one search");
        assert!(stands(progress(3, 4, 4), progress(3, 4, 4)), "takes none");
    }

    #[test]
    fn a_question_that_was_dropped_is_asked_again() {
        let (asked, questions) = unbounded::<Sender<()>>();
        let mut pulse = Pulse::new("part", move |answer| {
            let _ = asked.send(answer);
        });
        drop(questions.recv().expect("one question"));
        assert!(!pulse.beats());
        let again = questions.try_recv().expect("asked again");
        again.send(()).expect("a place for it");
        assert!(pulse.beats());
    }

    #[test]
    fn a_late_answer_counts_and_is_waited_for() {
        let (asked, questions) = unbounded::<Sender<()>>();
        let mut pulse = Pulse::new("part", move |answer| {
            let _ = asked.send(answer);
        });
        assert!(!pulse.beats());
        let late = questions.recv().expect("one question");
        late.send(()).expect("it is still open");
        assert!(pulse.beats());
        assert_eq!(questions.len(), 1, "the next question");
    }
}
