//! Latency, for operations: percentiles, how they went, the worst requests, and downloads.

use askama::Template;

use crate::console::call::Call;
use crate::console::chart::{self, Line};
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::latency::{self, Mark, SPANS};
use crate::console::reply::{self, Failure, html};
use crate::console::route::{Route, get};
use crate::histograms::series::{self, QUANTILES, Series};
use crate::histograms::stage::{STAGES, Stage};
use crate::limits::RESPONSE_BYTES_MAX;
use crate::net::Response;
use crate::store::Scope;

pub(super) const ROUTES: &[Route] = &[
    get("/console/latency", Scope::Read, page),
    get("/console/latency/download/{}", Scope::Read, download),
];

const DOWNLOADS: [&str; 3] = ["hlog", "hgrm", "csv"];

#[derive(Template)]
#[template(path = "latency.html")]
struct LatencyPage {
    f: Frame,
    spans: [&'static str; SPANS.len()],
    span: &'static str,
    stages: [&'static str; STAGES.len()],
    stage: &'static str,
    left_out: bool,
    table: Vec<Row>,
    over_time: String,
    marks: Vec<Mark>,
    histogram: String,
    worst: Vec<WorstRow>,
    downloads: [&'static str; 3],
}

impl LatencyPage {
    /// Spans and stages have no name in common.
    fn is_chosen(&self, name: &str) -> bool {
        self.span == name || self.stage == name
    }
}

struct Row {
    name: &'static str,
    count: u64,
    cells: Vec<String>,
}

struct WorstRow {
    device: String,
    cells: Vec<String>,
    request: String,
}

fn wanted(call: &Call) -> Stage {
    series::stage_named(call.query.text("stage")).unwrap_or(Stage::Total)
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (span, stage) = (latency::span(call), wanted(call));
    let series = latency::read(desk, call, span)?;
    let marks = latency::marks(desk, call, span)?;
    let moments: Vec<_> = marks.iter().map(|mark| mark.at as f64).collect();
    let line = |quantile: usize| Line {
        points: points(&series, stage, quantile),
    };
    let bounds = latency::bounds(call, span);
    let name = call.t(&format!("stage.{}", stage.name()));
    let over_time = chart::over_time(
        (bounds.from, bounds.to),
        &[line(0), line(2), line(4)],
        &moments,
        name,
    )?;
    let recorded = series.merged.of(stage).iter_recorded();
    let counts: Vec<_> = recorded
        .map(|value| {
            let ms = value.value_iterated_to() as f64 / 1e3;
            (ms, value.count_since_last_iteration())
        })
        .collect();
    html(&LatencyPage {
        f: Frame::new(desk, call, "latency"),
        spans: SPANS.map(|(name, _)| name),
        span: SPANS[span].0,
        stages: STAGES.map(Stage::name),
        stage: stage.name(),
        left_out: series.left_out,
        table: table(&series),
        over_time: legend(&over_time),
        marks,
        histogram: chart::histogram(&counts, name)?,
        worst: worst(desk, &series)?,
        downloads: DOWNLOADS,
    })
}

fn points(series: &Series, stage: Stage, quantile: usize) -> Vec<(f64, f64)> {
    let parts = series.points.iter();
    let found = parts.filter_map(|point| {
        let found = point.stages[stage as usize]?;
        Some((point.at, found.us[quantile] as f64 / 1e3))
    });
    found.collect()
}

/// A chart over time with what its lines are.
fn legend(chart: &str) -> String {
    let names = ["p50", "p99", "max"];
    let entries: String = chart::COLOURS
        .iter()
        .zip(names)
        .map(|((colour, _), name)| {
            format!(
                "<li><svg aria-hidden=\"true\" viewBox=\"0 0 16 12\"><rect width=\"16\" \
                 height=\"12\" rx=\"3\" fill=\"{colour}\"/></svg> {name}</li>"
            )
        })
        .collect();
    format!("{chart}<ul class=\"legend\">{entries}</ul>")
}

fn table(series: &Series) -> Vec<Row> {
    let rows = STAGES.into_iter().filter_map(|stage| {
        let histogram = series.merged.of(stage);
        (!histogram.is_empty()).then(|| Row {
            name: stage.name(),
            count: histogram.len(),
            cells: QUANTILES
                .iter()
                .map(|quantile| ms(histogram.value_at_quantile(*quantile)))
                .collect(),
        })
    });
    rows.collect()
}

fn worst(desk: &Desk, series: &Series) -> Result<Vec<WorstRow>, Failure> {
    let devices = desk.read.store.devices()?;
    let rows = series.merged.worst().iter().map(|request| {
        let device = devices.iter().find(|known| known.id.0 == request.device);
        let cell = |stage| {
            let us = request.timings.of(stage);
            us.map_or_else(|| "–".to_owned(), |us| ms(u64::from(us)))
        };
        WorstRow {
            device: device.map_or_else(|| request.device.to_string(), |one| one.name.clone()),
            cells: STAGES.into_iter().map(cell).collect(),
            request: request.request_id.to_string(),
        }
    });
    Ok(rows.collect())
}

fn ms(us: u64) -> String {
    format!("{:.3}", us as f64 / 1e3)
}

fn download(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let series = latency::read(desk, call, latency::span(call))?;
    let (kind, bytes) = match call.place() {
        "hlog" => ("text/plain; charset=utf-8", series.log),
        "hgrm" => {
            let text = series::hgrm(series.merged.of(wanted(call)));
            ("text/plain; charset=utf-8", text.into_bytes())
        }
        "csv" => ("text/csv; charset=utf-8", series::csv(&series).into_bytes()),
        _ => return Err(Failure::NotFound),
    };
    if bytes.len() > RESPONSE_BYTES_MAX {
        return Err(Failure::Refused(call.t("latency.too-large").to_owned()));
    }
    Ok(reply::file(
        &format!("latency.{}", call.place()),
        kind,
        bytes,
    ))
}
