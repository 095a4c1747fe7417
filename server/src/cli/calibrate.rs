//! `cardea calibrate`: what a gallery searched by itself says about the decision threshold.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use cardea_engine::calibration::{Calibration, Rate};

use super::CalibrateArgs;
use super::calibrate_chart::chart;
use crate::admin::client::Desk;
use crate::admin::message::{Request, Response};
use crate::calibrate::{CalibrationAsk, CalibrationReport, NEAR_DUPLICATE_SCORE};

/// Steps of the printed table, and its last threshold.
const STEP: f32 = 0.02;
const LAST: f32 = 0.7;
/// What it looks like when the site has grown.
const GROWTH: u64 = 10;

/// Measures, prints, draws, and sets the threshold if asked to.
///
/// # Errors
/// If it cannot be measured or written, or if so few searches cannot show the wanted rate.
pub fn run(data: &Path, args: &CalibrateArgs) -> io::Result<()> {
    let mut desk = Desk::open(data)?;
    let searches = args.searches;
    let ask = CalibrationAsk { searches };
    let report: CalibrationReport = match desk.ask(&Request::Calibrate { ask })? {
        Response::Done { text } => serde_json::from_str(&text)?,
        Response::Error { text } => return Err(io::Error::other(text)),
        Response::Staged { .. } | Response::Table { .. } => {
            return Err(io::Error::other("not the answer to a calibration"));
        }
    };
    let tail = Tail::new(&report, args);
    io::stdout().write_all(tail.text(&report).as_bytes())?;
    if let Some(path) = &args.svg {
        fs::write(path, chart(&tail.all, tail.threshold)?)?;
    }
    if !args.set {
        return Ok(());
    }
    let Some(threshold) = tail.threshold else {
        return Err(io::Error::other(
            "the threshold stays as it is: so few searches cannot show the wanted rate",
        ));
    };
    super::site::print(desk.ask(&Request::ThresholdSet {
        threshold,
        people: report.persons,
        fpir: args.fpir as f32,
    })?)
}

/// What the scores say for these arguments.
struct Tail {
    all: Calibration,
    /// Without near-duplicates.
    distinct: Calibration,
    wanted: f64,
    strangers_a_day: Option<f64>,
    /// The lowest threshold that keeps the wanted rate at the upper end of its confidence.
    threshold: Option<f32>,
}

impl Tail {
    fn new(report: &CalibrationReport, args: &CalibrateArgs) -> Self {
        let all = Calibration::new(report.scores.clone(), report.persons);
        let distinct = report.distinct_scores.as_ref();
        let distinct = distinct.map_or_else(
            || all.clone(),
            |scores| Calibration::new(scores.clone(), report.persons),
        );
        // Below the floor nothing was looked at.
        let threshold = distinct.sure_threshold_for(args.fpir, report.persons);
        Self {
            threshold: threshold.map(|threshold| threshold.max(report.floor)),
            wanted: args.fpir,
            strangers_a_day: args.searches_per_day.or(report.strangers_a_day),
            all,
            distinct,
        }
    }

    fn text(&self, report: &CalibrationReport) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text, report);
        text
    }

    fn write(&self, out: &mut String, report: &CalibrationReport) -> std::fmt::Result {
        writeln!(
            out,
            "{} people, {} references; {} of them searched among the other people's.",
            report.persons,
            report.references,
            report.scores.len()
        )?;
        let set_for = match report.threshold_people {
            0 => "never calibrated".to_owned(),
            people => format!("set for {people} people"),
        };
        writeln!(out, "In force: {:.3}, {set_for}.", report.threshold)?;
        match self.strangers_a_day {
            Some(strangers) => writeln!(out, "{strangers:.1} searches a day by strangers.")?,
            None => writeln!(
                out,
                "The audit has less than a day of attempts: give --searches-per-day for false \
                 opens a year."
            )?,
        }
        self.write_table(out, report)?;
        self.write_near(out, report)?;
        match self.threshold {
            Some(threshold) => writeln!(
                out,
                "\nThreshold for an FPIR of at most {}, 95 % sure: {threshold:.3}",
                self.wanted
            ),
            None => writeln!(
                out,
                "\n{} searches cannot show an FPIR of {}: with none above, it may still be {}.",
                self.distinct.searches(),
                self.wanted,
                percent(self.distinct.fpir(2.0).high)
            ),
        }
    }

    fn write_table(&self, out: &mut String, report: &CalibrationReport) -> std::fmt::Result {
        let (now, later) = (report.persons, report.persons * GROWTH);
        writeln!(
            out,
            "\n{:>9}  {:<30}  {:>22}  {:<20}  {:>12}",
            "threshold",
            "FPIR (95 % of confidence)",
            "false opens a year",
            format!("FPIR at {later} people"),
            "opens a year"
        )?;
        let steps = (0..).map(|step| report.floor.max(0.0) + STEP * step as f32);
        let mut thresholds: Vec<f32> = steps.take_while(|&t| t <= LAST).collect();
        thresholds.push(report.threshold);
        thresholds.extend(self.threshold);
        thresholds.retain(|&t| t >= report.floor);
        thresholds.sort_by(f32::total_cmp);
        thresholds.dedup();
        for threshold in thresholds {
            let rate = self.distinct.fpir_for(threshold, now);
            let rate_later = self.distinct.fpir_for(threshold, later);
            let opens = |persons| match self.strangers_a_day {
                Some(strangers) => {
                    let opens = self
                        .distinct
                        .false_opens_a_year(threshold, persons, strangers);
                    format!("{:.1} (to {:.1})", opens.rate, opens.high)
                }
                None => "?".to_owned(),
            };
            let mark = match Some(threshold) {
                found if found == self.threshold => "  <- wanted",
                _ if threshold == report.threshold => "  <- in force",
                _ => "",
            };
            writeln!(
                out,
                "{threshold:>9.3}  {:<30}  {:>22}  {:<20}  {:>12}{mark}",
                interval(rate),
                opens(now),
                percent(rate_later.rate),
                opens(later)
            )?;
        }
        Ok(())
    }

    fn write_near(&self, out: &mut String, report: &CalibrationReport) -> std::fmt::Result {
        if report.near.is_empty() {
            return writeln!(
                out,
                "\nNobody looks like two people (score {NEAR_DUPLICATE_SCORE} or more)."
            );
        }
        writeln!(
            out,
            "\nTwins, or one person enrolled twice (score {NEAR_DUPLICATE_SCORE} or more); left \
             out above, with them the FPIR at the wanted threshold is {}:",
            self.threshold
                .map_or_else(|| "?".to_owned(), |t| percent(self.all.fpir(t).rate))
        )?;
        for pair in &report.near {
            writeln!(out, "  {:.3}  {}  {}", pair.score, pair.one, pair.other)?;
        }
        if report.near_left_out > 0 {
            writeln!(out, "  and {} more", report.near_left_out)?;
        }
        Ok(())
    }
}

fn interval(rate: Rate) -> String {
    format!(
        "{} ({} to {})",
        percent(rate.rate),
        percent(rate.low),
        percent(rate.high)
    )
}

fn percent(rate: f64) -> String {
    format!("{:.4} %", rate * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::NearPair;

    fn report(scores: Vec<f32>) -> CalibrationReport {
        CalibrationReport {
            persons: 4000,
            references: 4100,
            scores,
            distinct_scores: None,
            floor: 0.1,
            near: Vec::new(),
            near_left_out: 0,
            threshold: 0.5,
            threshold_people: 0,
            strangers_a_day: None,
        }
    }

    fn args(fpir: f64) -> CalibrateArgs {
        CalibrateArgs {
            fpir,
            searches_per_day: Some(10.0),
            searches: 20_000,
            svg: None,
            set: false,
        }
    }

    /// Fails if `write_table` leaves the wanted threshold out, or ten times the people.
    #[test]
    fn says_what_a_threshold_means_now_and_at_ten_times_the_people() {
        // One in a hundred reaches 0.4, none 0.41.
        let scores = (0..4000).map(|n| if n % 100 == 0 { 0.405 } else { 0.2 });
        let report = report(scores.collect());
        let tail = Tail::new(&report, &args(1e-3));
        assert_eq!(tail.threshold, Some(0.406));
        let text = tail.text(&report);
        for words in [
            "4000 people, 4100 references; 4000 of them",
            "never calibrated",
            "FPIR at 40000 people",
            "95 % sure: 0.406",
            "<- wanted",
            "<- in force",
            "36.5 (to ",
            "Nobody looks like two people",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        let coarse = Tail::new(&report, &args(1e-5));
        assert_eq!(coarse.threshold, None);
        assert!(coarse.text(&report).contains("4000 searches cannot show"));
    }

    #[test]
    fn near_duplicates_are_named_and_left_out() {
        let mut report = report((0..4000).map(|n| if n < 8 { 0.9 } else { 0.2 }).collect());
        report.distinct_scores = Some(vec![0.2; 4000]);
        report.near = vec![NearPair {
            one: "A".to_owned(),
            other: "B".to_owned(),
            score: 0.9,
        }];
        report.near_left_out = 3;
        let tail = Tail::new(&report, &args(1e-3));
        assert_eq!(tail.threshold, Some(0.201));
        let text = tail.text(&report);
        assert!(
            text.contains("0.900  A  B") && text.contains("and 3 more"),
            "{text}"
        );
        assert!(text.contains("wanted threshold is 0.2000 %"), "{text}");
    }
}
