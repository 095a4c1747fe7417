//! The table of all sides, and whether each stayed within its limits.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measure::{Lane, PARTS, Times};
use super::sides::Side;

/// Every request ends within this time, microseconds.
const LIMIT_US: u64 = 2_000_000;

/// One lane beside one side: a pair of phases, at rest and beside, as often as it was tried.
pub(crate) struct Row {
    pub(crate) side: Side,
    pub(crate) lane: Lane,
    pub(crate) pairs: Vec<(Times, Times)>,
    /// What happened meanwhile, of the last pair.
    pub(crate) meanwhile: String,
}

impl Row {
    /// The median over all pairs of how many times as long p99 took as at rest.
    fn ratio(&self) -> f64 {
        let ratio =
            |(rest, beside): &(Times, Times)| beside.at(990) as f64 / rest.at(990).max(1) as f64;
        median(self.pairs.iter().map(ratio).collect())
    }

    fn median_us(&self, which: fn(&(Times, Times)) -> &Times, per_mille: usize) -> u64 {
        let all = self.pairs.iter().map(|pair| which(pair).at(per_mille));
        median(all.map(|us| us as f64).collect()) as u64
    }

    fn worst_us(&self, which: fn(&(Times, Times)) -> &Times) -> u64 {
        let all = self.pairs.iter().map(|pair| which(pair).at(1_000));
        all.max().unwrap_or(0)
    }

    fn sum(&self, of: fn(&Times) -> u64) -> u64 {
        let both = |(rest, beside): &(Times, Times)| of(rest) + of(beside);
        self.pairs.iter().map(both).sum()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.sum(|times| times.count() as u64)
    }

    /// What is not as it should be; nothing if all is well. A bound of 0 looks at no ratio.
    pub(crate) fn complaints(&self, ratio_max: f64) -> Vec<String> {
        let mut found = Vec::new();
        let worst = self.worst_us(rest).max(self.worst_us(beside));
        if worst > LIMIT_US {
            found.push(format!("p100 {} ms", worst / 1_000));
        }
        for (what, count) in [
            ("wrong", self.sum(|times| times.wrong)),
            ("failed", self.sum(|times| times.failed)),
        ] {
            if count > 0 {
                found.push(format!("{count} {what}"));
            }
        }
        let refused = self.sum(|times| times.refused);
        if refused > 0 && !self.side.may_refuse(self.lane) {
            found.push(format!("{refused} turned away"));
        }
        let compared = ratio_max > 0.0 && self.side.is_compared(self.lane);
        if compared && self.ratio() > ratio_max {
            found.push(format!("p99 ratio above {ratio_max}"));
        }
        found
    }

    pub(crate) fn to_json(&self, ratio_max: f64) -> Value {
        let pairs = self.pairs.iter();
        let pairs =
            pairs.map(|(rest, beside)| json!({"rest": rest.to_json(), "beside": beside.to_json()}));
        json!({
            "side": self.side.name(), "lane": self.lane.name(), "p99_ratio": self.ratio(),
            "compared": self.side.is_compared(self.lane), "meanwhile": self.meanwhile,
            "complaints": self.complaints(ratio_max), "pairs": pairs.collect::<Vec<_>>(),
        })
    }
}

/// The table as Markdown: medians over all pairs, and the longest of all.
pub(crate) fn markdown(rows: &[Row], ratio_max: f64) -> String {
    let heads = "beside|device sees|rest p50 ms|p99|p100|beside p50 ms|p99|p100|p99 ratio|requests|\
                 turned away|meanwhile|verdict";
    let columns = heads.split('|').count();
    let rule = "---|".repeat(columns);
    let mut table = format!("|{heads}|\n|{rule}\n");
    for row in rows {
        let ms = |us: u64| format!("{:.1}", us as f64 / 1e3);
        let phase = |which: fn(&(Times, Times)) -> &Times| {
            [
                row.median_us(which, 500),
                row.median_us(which, 990),
                row.worst_us(which),
            ]
            .map(ms)
            .join(" | ")
        };
        let ratio = match row.side.is_compared(row.lane) {
            true => format!("{:.2}", row.ratio()),
            false => format!("({:.2})", row.ratio()),
        };
        let complaints = row.complaints(ratio_max);
        let verdict = match complaints.is_empty() {
            true => "holds".to_owned(),
            false => complaints.join(", "),
        };
        let (rest, beside) = (phase(rest), phase(beside));
        let (side, lane) = (row.side.name(), row.lane.name());
        let (requests, refused) = (row.requests(), row.sum(|times| times.refused));
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {side} | {lane} | {rest} | {beside} | {ratio} | {requests} | {refused} | {} \
             | {verdict} |",
            row.meanwhile
        );
    }
    table + "\nWhere it passed, p99 ms, at rest / beside:\n\n" + &parts(rows)
}

/// What each part of a response took, medians over all pairs.
fn parts(rows: &[Row]) -> String {
    let rule = "---|".repeat(2 + PARTS.len());
    let mut table = format!("|beside|device sees|{}|\n|{rule}\n", PARTS.join("|"));
    for row in rows {
        let cells: String = (0..PARTS.len())
            .map(|part| {
                let of = |which: fn(&(Times, Times)) -> &Times| {
                    let all = row.pairs.iter().map(|pair| which(pair).p99_of(part) as f64);
                    median(all.collect()) / 1e3
                };
                format!(" {:.1} / {:.1} |", of(rest), of(beside))
            })
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {} | {} |{cells}",
            row.side.name(),
            row.lane.name()
        );
    }
    table
}

fn rest((rest, _): &(Times, Times)) -> &Times {
    rest
}

fn beside((_, beside): &(Times, Times)) -> &Times {
    beside
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
