//! What `/metrics` shows as of now, beside what the loops hand over.

use std::sync::Arc;

use crate::api::Completion;
use crate::clock::Reading;
use crate::http::Refusal;
use crate::metrics::Levels;
use crate::net::{Counter, Counters};
use crate::pace::Pace;
use crate::site::Site;
use crate::work::WorkQueue;
use crate::writer::is_outgrown;

/// Asks for everything anew at each call.
pub(super) fn levels(
    site: &Arc<Site>,
    work: &WorkQueue<Completion>,
    counters: &[Arc<Counters>],
    pace: Arc<Pace>,
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
        clock(&mut levels, &site.clock.reading());
        kept(&mut levels, &site, &pace);
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

fn clock(levels: &mut Levels, reading: &Reading) {
    let answer = reading.state.answer();
    levels.gauge(
        "clock_synchronised",
        "The server's clock follows a source: 1 or 0",
        f64::from(u8::from(answer.is_some())),
    );
    levels.gauge(
        "clock_error_seconds",
        "How far the clock may be off, by its own account; NaN if it follows none",
        answer.map_or(f64::NAN, |answer| answer.error_ms / 1e3),
    );
    levels.counter("clock_steps", reading.steps);
}

/// Backups, the address, and imports that make way.
fn kept(levels: &mut Levels, site: &Site, pace: &Pace) {
    let one_if = |holds: bool| f64::from(u8::from(holds));
    levels.gauge(
        "withdrawals_pending",
        "The list of withdrawals beside the backups lacks somebody: 1 or 0",
        one_if(site.is_withdrawals_pending()),
    );
    levels.gauge(
        "address_own",
        "The address that devices know is one of this machine's: 1 or 0",
        one_if(site.is_address_own()),
    );
    if let Some(age) = site.backup_age_s() {
        levels.gauge("backup_age_seconds", "Age of the newest backup", age as f64);
    }
    levels.counter("import_pauses", pace.pauses());
}
