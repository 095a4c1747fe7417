//! Charts as SVG, drawn here and readable without script: lines over time, and a histogram over a
//! logarithmic axis. Ink is the page's own text colour, so that dark mode needs no second chart.

use plotters::prelude::*;
use plotters::style::RGBColor;

use super::reply::Failure;

/// Stands for the page's text colour until the end.
const INK: RGBColor = RGBColor(1, 1, 1);
const INK_TEXT: &str = "#010101";
const WIDTH: u32 = 900;
const HEIGHT: u32 = 320;
/// Bars of the histogram for each factor of ten.
const BARS_PER_DECADE: f64 = 20.0;

/// Colours that stand out on white and on black.
pub(super) const COLOURS: [(&str, RGBColor); 3] = [
    ("#2f80c8", RGBColor(0x2f, 0x80, 0xc8)),
    ("#c77a14", RGBColor(0xc7, 0x7a, 0x14)),
    ("#d0455c", RGBColor(0xd0, 0x45, 0x5c)),
];

/// A line over time: Unix seconds and milliseconds.
pub(super) struct Line {
    /// Its points, oldest first.
    pub points: Vec<(f64, f64)>,
}

/// Lines over time, milliseconds on a logarithmic axis; `marks` are moments.
///
/// # Errors
/// [`Failure::Broken`] if it cannot be drawn.
pub(super) fn over_time(
    (from, to): (f64, f64),
    lines: &[Line; 3],
    marks: &[f64],
    name: &str,
) -> Result<String, Failure> {
    let all = lines.iter().flat_map(|line| &line.points);
    let (low, high) = decades(all.map(|point| point.1));
    let mut text = String::new();
    draw(&mut text, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d(from..to, (low..high).log_scale())?;
        let hours = to - from <= 2.0 * 86_400.0;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.15))
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 14).into_font().color(&INK))
            .x_labels(7)
            .x_label_formatter(&|at| moment(*at, hours))
            .y_label_formatter(&|ms| format!("{ms} ms"))
            .draw()?;
        for at in marks {
            let mark = PathElement::new(vec![(*at, low), (*at, high)], INK.mix(0.6));
            chart.draw_series(std::iter::once(mark))?;
        }
        for (line, (_, colour)) in lines.iter().zip(COLOURS) {
            let points = line.points.iter().map(|(at, ms)| (*at, ms.max(low)));
            let dots = points.clone().map(|at| Circle::new(at, 2, colour.filled()));
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            chart.draw_series(dots)?;
        }
        Ok(())
    })?;
    Ok(finished(&text, name))
}

/// How many requests took how long: pairs of milliseconds and a count, over a logarithmic axis.
///
/// # Errors
/// [`Failure::Broken`] if it cannot be drawn.
pub(super) fn histogram(counts: &[(f64, u64)], name: &str) -> Result<String, Failure> {
    let (low, high) = decades(counts.iter().map(|(ms, _)| *ms));
    let bars = bars(counts, low, high);
    let most = bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let edge = |number: usize| low * 10_f64.powf(number as f64 / BARS_PER_DECADE);
    let mut text = String::new();
    draw(&mut text, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d((low..high).log_scale(), 0.0..most * 1.05)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.15))
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 14).into_font().color(&INK))
            .x_label_formatter(&|ms| format!("{ms} ms"))
            .y_label_formatter(&|count| format!("{count:.0}"))
            .draw()?;
        let bars = bars.iter().enumerate().filter(|(_, count)| **count > 0);
        chart.draw_series(bars.map(|(number, count)| {
            let corners = [(edge(number), 0.0), (edge(number + 1), *count as f64)];
            Rectangle::new(corners, COLOURS[0].1.filled())
        }))?;
        Ok(())
    })?;
    Ok(finished(&text, name))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(text: &mut String, what: impl FnOnce(&Area<'_>) -> Drawn) -> Result<(), Failure> {
    let area = SVGBackend::with_string(text, (WIDTH, HEIGHT)).into_drawing_area();
    let drawn = what(&area).and_then(|()| Ok(area.present()?));
    drawn.map_err(|error| Failure::Broken(error.to_string()))
}

/// The picture with its name, in the page's colours, as wide as there is room.
fn finished(text: &str, name: &str) -> String {
    let name = name.replace('&', "&amp;").replace('"', "&quot;");
    let body = text.split_once('>').map_or("", |(_, body)| body);
    let body = body.replace(INK_TEXT, "currentColor");
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">\
         <svg class=\"chart\" role=\"img\" aria-label=\"{name}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         xmlns=\"http://www.w3.org/2000/svg\">{body}</div>"
    )
}

/// The powers of ten around values; a millisecond to ten for none.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut bounds: Option<(f64, f64)> = None;
    for value in values.map(|value| value.max(1e-3)) {
        let (low, high) = bounds.unwrap_or((value, value));
        bounds = Some((low.min(value), high.max(value)));
    }
    let (low, high) = bounds.unwrap_or((1.0, 10.0));
    let low = 10_f64.powf(low.log10().floor());
    let high = 10_f64.powf(high.log10().ceil());
    (low, high.max(low * 10.0))
}

fn bars(counts: &[(f64, u64)], low: f64, high: f64) -> Vec<u64> {
    let number = ((high / low).log10() * BARS_PER_DECADE).round() as usize;
    let mut bars = vec![0; number.max(1)];
    let last = bars.len() - 1;
    for (ms, count) in counts {
        let at = ((ms.max(low) / low).log10() * BARS_PER_DECADE) as usize;
        bars[at.min(last)] += count;
    }
    bars
}

/// Hour and minute, or the day.
fn moment(at: f64, hours: bool) -> String {
    let moment = super::frame::moment(at as i64);
    let (day, time) = moment.split_once(' ').unwrap_or((&moment, ""));
    if hours {
        time.to_owned()
    } else {
        day.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_no_colour_of_its_own_for_ink_and_no_inline_style() {
        let line = |ms: f64| Line {
            points: vec![(0.0, ms), (60.0, ms * 3.0)],
        };
        let lines = [line(0.2), line(2.0), line(20.0)];
        let svg = over_time((0.0, 60.0), &lines, &[30.0], "p & \"q\"").expect("drawn");
        assert!(svg.contains("currentColor") && !svg.contains(INK_TEXT));
        assert!(!svg.contains("style=") && svg.contains("p &amp; &quot;q&quot;"));
        assert!(svg.matches("<polyline").count() >= 3, "{svg}");
        let none = [line(1.0), line(1.0), line(1.0)].map(|_| Line { points: vec![] });
        over_time((0.0, 60.0), &none, &[], "none").expect("an empty one too");
    }

    /// Losing a value at either end of the axis fails this.
    #[test]
    fn every_count_is_in_a_bar() {
        let counts = [(0.5, 3), (1.0, 4), (9.99, 5), (10.0, 6)];
        let (low, high) = decades(counts.iter().map(|(ms, _)| *ms));
        assert_eq!((low, high), (0.1, 10.0));
        assert_eq!(bars(&counts, low, high).iter().sum::<u64>(), 18);
        histogram(&counts, "h").expect("drawn");
        histogram(&[], "h").expect("an empty one too");
    }
}
