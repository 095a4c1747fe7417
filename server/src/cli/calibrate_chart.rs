//! The tail of a calibration as a picture (SVG).

use std::io;

use cardea_engine::calibration::Calibration;
use plotters::prelude::*;

const SIZE: (u32, u32) = (860, 480);
const POINTS: usize = 200;
/// Rates below are not drawn: no calibration makes enough searches to show them.
const RATE_MIN: f64 = 1e-6;

/// FPIR by threshold with the ends of its confidence, and the threshold for the wanted rate.
///
/// # Errors
/// If there is nothing to draw.
pub fn chart(calibration: &Calibration, threshold: Option<f32>) -> io::Result<String> {
    let mut svg = String::new();
    draw(&mut svg, calibration, threshold).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    calibration: &Calibration,
    threshold: Option<f32>,
) -> Result<(), Box<dyn std::error::Error>> {
    let tail = calibration.tail(POINTS);
    let (Some(first), Some(last)) = (tail.first(), tail.last()) else {
        return Err("no searches".into());
    };
    let (low, high) = (first.0.max(0.0), last.0.max(first.0) + 0.05);
    let least = tail
        .iter()
        .map(|(_, rate)| rate.low)
        .filter(|&rate| rate > RATE_MIN);
    let bottom = least.fold(0.1, f64::min);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!(
        "{} searches, {} people: strangers who match somebody",
        calibration.searches(),
        calibration.persons()
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(low..high, (bottom..1.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("decision threshold")
        .y_desc("FPIR")
        .y_label_formatter(&|rate| format!("{rate:.0e}"))
        .draw()?;
    let curve = |of: fn(&cardea_engine::calibration::Rate) -> f64| {
        let points = tail.iter().map(move |(t, rate)| (*t, of(rate)));
        points
            .filter(move |&(_, rate)| rate >= bottom)
            .collect::<Vec<_>>()
    };
    chart.draw_series(LineSeries::new(curve(|rate| rate.low), &BLUE.mix(0.4)))?;
    chart.draw_series(LineSeries::new(curve(|rate| rate.high), &BLUE.mix(0.4)))?;
    chart.draw_series(LineSeries::new(
        curve(|rate| rate.rate),
        BLUE.stroke_width(2),
    ))?;
    if let Some(threshold) = threshold.filter(|t| (low..high).contains(t)) {
        let line = [(threshold, bottom), (threshold, 1.0)];
        chart.draw_series(LineSeries::new(line, &RED))?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if `present` is not reached, or a curve is left out.
    #[test]
    fn draws_three_curves_and_the_threshold() {
        let scores = (0..1000).map(|n| 0.1 + n as f32 / 4000.0).collect();
        let svg = chart(&Calibration::new(scores, 1000), Some(0.3)).expect("drawn");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        let polylines = svg.matches("<polyline").count();
        assert!(polylines >= 4, "{polylines}");
        assert!(svg.contains("1000 searches, 1000 people"));
        assert!(chart(&Calibration::new(Vec::new(), 0), None).is_err());
    }
}
