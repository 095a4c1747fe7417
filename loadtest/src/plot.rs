//! Percentile curves as a picture (SVG): percent on a scale that opens up towards 100 %, time in
//! milliseconds on a logarithmic one.

use std::fmt::Write;

use crate::histogram::Times;
use crate::summary::Summary;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = [
    "#1b6ca8", "#c0392b", "#27805a", "#8e5ea2", "#b9770e", "#444444",
];
const PERCENT_MARKS: [f64; 6] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99];
const STEPS: u32 = 400;

/// The curves of a run: response and service time, the lanes where there are several, and the
/// server's total.
#[must_use]
pub fn of_summary(summary: &Summary) -> String {
    let mut curves = vec![
        ("response time".to_owned(), &summary.all.response),
        ("service time".to_owned(), &summary.all.service),
    ];
    if summary.lanes.len() > 1 {
        let lanes = summary.lanes.iter();
        curves.extend(lanes.map(|(lane, tally)| (lane.name().to_owned(), &tally.response)));
    }
    curves.push(("server total".to_owned(), &summary.server.total));
    of_curves(&curves)
}

/// Any curves with their names.
#[must_use]
pub fn of_curves(curves: &[(String, &Times)]) -> String {
    let scale = Scale::new(curves);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    scale.push_grid(&mut svg);
    for (number, (name, times)) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        scale.push_curve(&mut svg, times, colour);
        let (x, y) = (WIDTH - RIGHT + 12.0, TOP + 16.0 + 36.0 * number as f64);
        let max = times.percentile_us(100.0) as f64 / 1e3;
        push(
            &mut svg,
            format_args!(
                "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>\n\
                 <text x=\"{x}\" y=\"{:.0}\" fill=\"{colour}\">max {max:.3} ms</text>",
                escaped(name),
                y + 15.0
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// From percent and microseconds to places in the picture.
struct Scale {
    low_us: f64,
    high_us: f64,
    /// The largest number of nines that the counts can tell.
    inverse_max: f64,
}

impl Scale {
    fn new(curves: &[(String, &Times)]) -> Self {
        let most = curves.iter().map(|(_, times)| times.count()).max();
        let highest = curves.iter().map(|(_, times)| times.percentile_us(100.0));
        let lowest = curves.iter().filter(|(_, times)| times.count() > 0);
        let low = lowest.map(|(_, times)| times.percentile_us(0.0)).min();
        let low = decade_below(low.unwrap_or(1).max(1) as f64);
        let high = highest.max().unwrap_or(1).max(1) as f64;
        Self {
            low_us: low,
            high_us: high.max(low * 10.0),
            inverse_max: (most.unwrap_or(1) as f64).max(100.0),
        }
    }

    fn x(&self, percent: f64) -> f64 {
        let inverse = 1.0 / (1.0 - percent / 100.0).max(1.0 / self.inverse_max);
        LEFT + inverse.ln() / self.inverse_max.ln() * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, us: f64) -> f64 {
        let share = (us.max(self.low_us) / self.low_us).ln() / (self.high_us / self.low_us).ln();
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn push_grid(&self, svg: &mut String) {
        let bottom = HEIGHT - BOTTOM;
        for percent in PERCENT_MARKS {
            if 1.0 / (1.0 - percent / 100.0) > self.inverse_max {
                continue;
            }
            let x = self.x(percent);
            push(
                svg,
                format_args!(
                    "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" \
                     stroke=\"#dddddd\"/><text x=\"{x:.1}\" y=\"{:.0}\" \
                     text-anchor=\"middle\">{percent} %</text>",
                    bottom + 20.0
                ),
            );
        }
        let mut us = self.low_us;
        while us <= self.high_us {
            let y = self.y(us);
            push(
                svg,
                format_args!(
                    "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" \
                     stroke=\"#dddddd\"/><text x=\"{}\" y=\"{:.1}\" \
                     text-anchor=\"end\">{} ms</text>",
                    WIDTH - RIGHT,
                    LEFT - 6.0,
                    y + 4.0,
                    us / 1e3
                ),
            );
            us *= 10.0;
        }
    }

    fn push_curve(&self, svg: &mut String, times: &Times, colour: &str) {
        let mut points = String::new();
        for step in 0..=STEPS {
            let inverse = self.inverse_max.powf(f64::from(step) / f64::from(STEPS));
            let percent = if step == STEPS {
                100.0
            } else {
                100.0 * (1.0 - 1.0 / inverse)
            };
            let (x, y) = (self.x(percent), self.y(times.percentile_us(percent) as f64));
            push(&mut points, format_args!("{x:.1},{y:.1}"));
        }
        push(
            svg,
            format_args!(
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" \
                 points=\"{}\"/>",
                points.replace('\n', " ").trim_end()
            ),
        );
    }
}

fn decade_below(us: f64) -> f64 {
    10_f64.powf(us.log10().floor())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn_and_named_inside_the_picture() {
        let mut times = Times::default();
        (1..=10_000).for_each(|us| times.record(us * 7));
        let empty = Times::default();
        let curves = [("a & <b>".to_owned(), &times), ("none".to_owned(), &empty)];
        let svg = of_curves(&curves);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a &amp; &lt;b>") && svg.contains("max 70.000 ms"));
        let points = svg
            .split("points=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        for point in points.unwrap_or_default().split(' ') {
            let (x, y) = point.split_once(',').expect("x,y");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!((LEFT..=WIDTH - RIGHT + 0.1).contains(&x), "{x}");
            assert!((TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&y), "{y}");
        }
    }
}
