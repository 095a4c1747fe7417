//! What the latency page and its operation read.

use super::call::Call;
use super::desk::Desk;
use super::reply::Failure;
use crate::audit::{AuditFilter, Entry};
use crate::histograms::log::FOLDER;
use crate::histograms::series::{self, Series, Span};
use crate::limits::{CHART_POINTS, PAGE_ROWS_MAX};

/// Spans to choose from: name and seconds.
pub(super) const SPANS: [(&str, f64); 4] = [
    ("10m", 600.0),
    ("1h", 3_600.0),
    ("24h", 86_400.0),
    ("7d", 604_800.0),
];

/// A moment at which an integration changed its state.
pub(super) struct Mark {
    /// Unix time in seconds.
    pub at: i64,
    /// What it came to.
    pub text: String,
}

/// The span that is asked for: its place in [`SPANS`].
pub(super) fn span(call: &Call) -> usize {
    let wanted = call.query.text("span");
    let found = SPANS.iter().position(|(name, _)| *name == wanted);
    found.unwrap_or(0)
}

/// Its first and last moment, now.
pub(super) fn bounds(call: &Call, span: usize) -> Span {
    let to = call.now_unix_s as f64 + 1.0;
    let (_, seconds) = SPANS[span.min(SPANS.len() - 1)];
    Span {
        from: to - seconds,
        to,
    }
}

/// What the latency log says of it.
///
/// # Errors
/// If the log cannot be read.
pub(super) fn read(desk: &Desk, call: &Call, span: usize) -> Result<Series, Failure> {
    let folder = desk.parts().data.join(FOLDER);
    series::read(&folder, bounds(call, span), CHART_POINTS)
        .map_err(|error| Failure::Broken(error.to_string()))
}

/// When integrations changed their state in it, oldest first.
///
/// # Errors
/// Those of a read.
pub(super) fn marks(desk: &Desk, call: &Call, span: usize) -> Result<Vec<Mark>, Failure> {
    let filter = AuditFilter {
        changes_only: true,
        ..AuditFilter::default()
    };
    let from = bounds(call, span).from as i64;
    let page = desk.read.audit.page(filter, None, PAGE_ROWS_MAX)?;
    let mut marks: Vec<_> = page
        .entries
        .into_iter()
        .filter_map(|entry| match entry.entry {
            Entry::Attempt(..) => None,
            Entry::Change(change) => {
                let status = change.action.strip_prefix("status: ")?;
                Some(Mark {
                    at: change.at_unix_us / 1_000_000,
                    text: format!("{}: {status}", change.actor),
                })
            }
        })
        .filter(|mark| mark.at >= from)
        .collect();
    marks.reverse();
    Ok(marks)
}
