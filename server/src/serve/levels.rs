//! What `/metrics` shows as of now, beside what the loops hand over.

use std::sync::Arc;

use crate::api::Completion;
use crate::http::Refusal;
use crate::metrics::Levels;
use crate::net::{Counter, Counters};
use crate::site::Site;
use crate::work::WorkQueue;
use crate::writer::is_outgrown;

/// Asks for everything anew at each call.
pub(super) fn levels(
    site: &Arc<Site>,
    work: &WorkQueue<Completion>,
    counters: &[Arc<Counters>],
) -> impl Fn() -> Levels + Send + 'static {
    let (site, waiting, counters) = (Arc::clone(site), work.waiting(), counters.to_vec());
    move || {
        let view = site.searched.load().view.clone();
        let (people, certificates) = {
            let directory = site.directory();
            (directory.people(), directory.devices())
        };
        let mut levels = Levels::default();
        levels.gauge("people", "People in force", people as f64);
        levels.gauge(
            "device_certificates",
            "Certificates in force",
            certificates as f64,
        );
        levels.gauge(
            "references",
            "References in the gallery",
            view.rows() as f64,
        );
        levels.gauge(
            "overlay_rows",
            "References since the snapshot",
            view.overlay_rows() as f64,
        );
        levels.gauge(
            "withdrawals",
            "Withdrawals since the snapshot",
            view.withdrawals() as f64,
        );
        calibration(&mut levels, &site, people);
        let pending = f64::from(u8::from(site.is_erasure_pending()));
        levels.gauge(
            "erasure_pending",
            "Withdrawn bytes wait to be erased: 1 or 0",
            pending,
        );
        levels.gauge(
            "probes_waiting",
            "Probes that wait for a search",
            waiting() as f64,
        );
        for counter in Counter::ALL {
            let value = counters
                .iter()
                .map(|counters| counters.value(counter))
                .sum();
            levels.front_end(counter.name(), value, counter.is_level());
        }
        for refusal in Refusal::ALL {
            let value = counters
                .iter()
                .map(|counters| counters.refused(refusal))
                .sum();
            levels.refused(refusal.name(), value);
        }
        levels
    }
}

/// The decision threshold, and whether the site has outgrown it.
fn calibration(levels: &mut Levels, site: &Site, people: usize) {
    let set_for = site.threshold_people();
    let threshold = site.searched.load().threshold.value();
    levels.gauge(
        "decision_threshold",
        "Comparison score from which it is a match",
        threshold.into(),
    );
    levels.gauge(
        "threshold_people",
        "People that the threshold was calibrated for: 0 if it never was",
        set_for as f64,
    );
    levels.gauge(
        "threshold_outgrown",
        "More than half as many people again are in force: 1 or 0",
        f64::from(u8::from(is_outgrown(set_for, people))),
    );
}
