//! Photos wait for the extractor up to a bound; past it a person is told to try again, and nothing
//! else waits.

use std::fs::OpenOptions;
use std::process::Command;

use cardea_tests::enrol::{EnrolSite, photo};
use cardea_tests::face;
use cardea_tests::space::until;
use cardea_wire::Reason;

/// `PHOTOS_QUEUED_MAX` of the server, and the one that is being looked at.
const TAKEN: usize = 4 + 1;

/// Taking a photo past `PHOTOS_QUEUED_MAX`, or waiting for room in the writer, fails this.
#[test]
fn a_photo_past_the_queues_bound_is_refused_at_once() {
    // The extractor waits for its fifo to be opened, and then says nothing.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .expect("coreutils");
    assert!(made.success());
    let extractor = format!(
        "{{ command = [\"/bin/cat\", \"{}\"], timeout_s = 100 }}",
        fifo.display()
    );
    let mut site = EnrolSite::start(&[("extractor", &extractor)]);
    let people: Vec<_> = (0..=TAKEN)
        .map(|number| {
            let path = site.invite(&format!("P{number}"), &[]);
            let mut browser = site.browser();
            site.consent(&mut browser, &path);
            (browser, path)
        })
        .collect();
    let mut people = people;
    let mut refused = Vec::new();
    for (place, (browser, path)) in people.iter_mut().enumerate() {
        let sent = site.photo(browser, path, &photo(9));
        if sent.status == 503 {
            assert!(sent.says("cannot be done now"), "{sent:?}");
            refused.push(place);
        } else {
            assert_eq!(sent.status, 303, "{place}: {sent:?}");
        }
        // Doors go on.
        assert_eq!(site.other.access(&face(1)).reason, Reason::NoMatch);
    }
    // The thread takes the first out of the queue at a time of its own: of six one or two are
    // past it.
    assert!(!refused.is_empty() && refused.len() <= 2, "{refused:?}");
    assert!(
        refused.iter().all(|place| *place >= TAKEN - 1),
        "{refused:?}"
    );
    for (place, (browser, path)) in people.iter_mut().enumerate() {
        if !refused.contains(&place) {
            // Opens once the extractor of this photo reads.
            drop(
                OpenOptions::new()
                    .write(true)
                    .open(&fifo)
                    .expect("it reads"),
            );
            until("told", || {
                browser.get(path).says("did not work on our side")
            });
        }
    }
    // There is room again.
    let (browser, path) = &mut people[refused[0]];
    assert_eq!(site.photo(browser, path, &photo(9)).status, 303);
    drop(
        OpenOptions::new()
            .write(true)
            .open(&fifo)
            .expect("it reads"),
    );
    until("told", || {
        browser.get(path).says("did not work on our side")
    });
}
