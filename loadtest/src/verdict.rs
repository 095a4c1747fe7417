//! Assertions about a run, and whether they hold. Pure.
//!
//! `p100<=2s,wrong=0,errors=0,fpir<=0.1%`: conditions separated by commas, each a figure's name
//! (see [`crate::summary::Summary::quantity`]), one of `<= < >= > = !=`, and a value: times with
//! us, ms or s, ratios plain or with %, counts as whole numbers.

use std::fmt;

use crate::limits::{BURST_SPREAD_MAX_US, CONDITIONS_MAX, LATENESS_SHARE_MAX};

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantity {
    /// Microseconds.
    TimeUs(u64),
    /// A number of something.
    Count(u64),
    /// A share, 0..1.
    Ratio(f64),
}

/// How a figure is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Unequal,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    name: String,
    comparison: Comparison,
    wanted: Quantity,
}

/// A condition that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The condition.
    pub condition: Condition,
    /// What was found.
    pub found: Quantity,
    /// Whether it holds.
    pub holds: bool,
}

/// What the run is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Every condition holds.
    Holds,
    /// At least one does not.
    Fails,
    /// The generator was too late, or its burst no burst: the run says nothing of the server.
    Void(String),
}

impl Verdict {
    /// The exit status of the program.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Fails => 1,
            Self::Void(_) => 3,
        }
    }
}

/// Why a text is no list of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionError {
    /// No comparison, or an empty name.
    Malformed(String),
    /// No figure has this name.
    UnknownName(String),
    /// The value does not fit the figure: a time needs a unit.
    BadValue(String),
    /// More than [`CONDITIONS_MAX`].
    TooMany,
}

/// Reads conditions; `figure` tells what kind of figure a name is, on any run.
///
/// # Errors
/// [`ConditionError`].
pub fn parse(
    text: &str,
    figure: &dyn Fn(&str) -> Option<Quantity>,
) -> Result<Vec<Condition>, ConditionError> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let conditions: Vec<Condition> = parts
        .take(CONDITIONS_MAX + 1)
        .map(|part| parse_one(part, figure))
        .collect::<Result<_, _>>()?;
    if conditions.len() > CONDITIONS_MAX {
        return Err(ConditionError::TooMany);
    }
    Ok(conditions)
}

/// Looks at every condition.
#[must_use]
pub fn check(conditions: &[Condition], figure: &dyn Fn(&str) -> Option<Quantity>) -> Vec<Checked> {
    let checked = conditions.iter().filter_map(|condition| {
        let found = figure(&condition.name)?;
        Some(Checked {
            condition: condition.clone(),
            found,
            holds: condition.holds(found),
        })
    });
    checked.collect()
}

/// The verdict. A pass stands, for lateness only makes response times longer. A run that fails by
/// time alone is void where the generator was late by more than a tenth of the limit. A burst whose
/// starts lie too far apart was none: void.
#[must_use]
pub fn judge(checked: &[Checked], lateness_max_us: u64, burst_spread_us: u64) -> Verdict {
    if burst_spread_us > BURST_SPREAD_MAX_US {
        let text = format!(
            "the starts of a burst lie {burst_spread_us} us apart, more than {BURST_SPREAD_MAX_US}"
        );
        return Verdict::Void(text);
    }
    let failed: Vec<&Checked> = checked.iter().filter(|checked| !checked.holds).collect();
    if failed.is_empty() {
        return Verdict::Holds;
    }
    let mut limit_us = u64::MAX;
    for checked in failed {
        match checked.condition.wanted {
            Quantity::TimeUs(us) => limit_us = limit_us.min(us),
            Quantity::Count(_) | Quantity::Ratio(_) => return Verdict::Fails,
        }
    }
    let allowed_us = limit_us as f64 * LATENESS_SHARE_MAX;
    if lateness_max_us as f64 > allowed_us {
        let text = format!(
            "the generator was up to {lateness_max_us} us late, more than a tenth of {limit_us} us"
        );
        return Verdict::Void(text);
    }
    Verdict::Fails
}

/// Whether a condition fails by more than all of the generator's lateness can explain: also of a
/// time from which the greatest lateness has been taken off. A ramp takes that for the server's
/// limit; a single run stays void, for there it can be repeated.
#[must_use]
pub fn fails_despite_lateness(checked: &[Checked], lateness_max_us: u64) -> bool {
    let failed = checked.iter().filter(|checked| !checked.holds);
    failed.into_iter().any(|checked| match checked.found {
        Quantity::TimeUs(us) => {
            let at_best = Quantity::TimeUs(us.saturating_sub(lateness_max_us));
            !checked.condition.holds(at_best)
        }
        Quantity::Count(_) | Quantity::Ratio(_) => true,
    })
}

impl Condition {
    fn holds(&self, found: Quantity) -> bool {
        let (found, wanted) = (found.number(), self.wanted.number());
        match self.comparison {
            Comparison::AtMost => found <= wanted,
            Comparison::Below => found < wanted,
            Comparison::AtLeast => found >= wanted,
            Comparison::Above => found > wanted,
            Comparison::Equal => found == wanted,
            Comparison::Unequal => found != wanted,
        }
    }
}

impl Quantity {
    /// The figure as a number: us, a count, or a share.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Self::TimeUs(number) | Self::Count(number) => number as f64,
            Self::Ratio(ratio) => ratio,
        }
    }
}

const COMPARISONS: [(&str, Comparison); 7] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("!=", Comparison::Unequal),
    ("==", Comparison::Equal),
    ("<", Comparison::Below),
    (">", Comparison::Above),
    ("=", Comparison::Equal),
];

fn parse_one(
    part: &str,
    figure: &dyn Fn(&str) -> Option<Quantity>,
) -> Result<Condition, ConditionError> {
    let malformed = || ConditionError::Malformed(part.to_owned());
    let at = part.find(['<', '>', '!', '=']).ok_or_else(malformed)?;
    let (name, rest) = part.split_at(at);
    let (sign, comparison) = COMPARISONS
        .into_iter()
        .find(|(sign, _)| rest.starts_with(sign))
        .ok_or_else(malformed)?;
    let name = name.trim();
    let value = rest[sign.len()..].trim();
    let kind = figure(name).ok_or_else(|| ConditionError::UnknownName(name.to_owned()))?;
    let wanted = match kind {
        Quantity::TimeUs(_) => time_us(value).map(Quantity::TimeUs),
        Quantity::Count(_) => value.parse().ok().map(Quantity::Count),
        Quantity::Ratio(_) => ratio(value).map(Quantity::Ratio),
    };
    Ok(Condition {
        name: name.to_owned(),
        comparison,
        wanted: wanted.ok_or_else(|| ConditionError::BadValue(part.to_owned()))?,
    })
}

fn time_us(value: &str) -> Option<u64> {
    let (number, factor) = if let Some(number) = value.strip_suffix("us") {
        (number, 1.0)
    } else if let Some(number) = value.strip_suffix("ms") {
        (number, 1e3)
    } else {
        (value.strip_suffix('s')?, 1e6)
    };
    let us = number.trim().parse::<f64>().ok()? * factor;
    (0.0..1e15).contains(&us).then_some(us as u64)
}

fn ratio(value: &str) -> Option<f64> {
    let number = match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => value.parse::<f64>().ok()?,
    };
    (0.0..=1.0).contains(&number).then_some(number)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeUs(us) => write!(f, "{:.3} ms", *us as f64 / 1e3),
            Self::Count(count) => write!(f, "{count}"),
            Self::Ratio(ratio) => write!(f, "{:.4} %", ratio * 100.0),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.comparison {
            Comparison::AtMost => "<=",
            Comparison::Below => "<",
            Comparison::AtLeast => ">=",
            Comparison::Above => ">",
            Comparison::Equal => "=",
            Comparison::Unequal => "!=",
        };
        write!(f, "{} {sign} {}", self.name, self.wanted)
    }
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(part) => write!(f, "\"{part}\" is no condition such as p100<=2s"),
            Self::UnknownName(name) => write!(f, "no figure is called \"{name}\""),
            Self::BadValue(part) => write!(
                f,
                "\"{part}\": a time needs us, ms or s; a count is whole; a ratio is 0 to 1 or has %"
            ),
            Self::TooMany => write!(f, "more than {CONDITIONS_MAX} conditions"),
        }
    }
}

impl std::error::Error for ConditionError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figure(name: &str) -> Option<Quantity> {
        match name {
            "p100" => Some(Quantity::TimeUs(1_500_000)),
            "wrong" => Some(Quantity::Count(0)),
            "fpir" => Some(Quantity::Ratio(0.002)),
            _ => None,
        }
    }

    fn verdict(text: &str, lateness_us: u64, spread_us: u64) -> Verdict {
        let conditions = parse(text, &figure).expect("conditions");
        judge(&check(&conditions, &figure), lateness_us, spread_us)
    }

    #[test]
    fn conditions_hold_or_fail_as_they_say() {
        for text in [
            "p100<=2s,wrong=0",
            "p100 <= 1500ms",
            "fpir<0.3%",
            "fpir<=0.002",
            "wrong!=1",
        ] {
            assert_eq!(verdict(text, 0, 0), Verdict::Holds, "{text}");
        }
        for text in [
            "p100<1.5s",
            "wrong>0",
            "fpir<=0.1%",
            "p100<=2s,wrong==1",
            "p100>=2s",
        ] {
            assert_eq!(verdict(text, 0, 0), Verdict::Fails, "{text}");
        }
    }

    #[test]
    fn a_pass_stands_however_late_the_generator_was() {
        assert_eq!(verdict("p100<=2s", 10_000_000, 0), Verdict::Holds);
    }

    #[test]
    fn a_failure_by_time_is_void_once_lateness_passes_a_tenth_of_the_limit() {
        assert_eq!(verdict("p100<=1s", 100_000, 0), Verdict::Fails);
        assert!(matches!(verdict("p100<=1s", 100_001, 0), Verdict::Void(_)));
        assert_eq!(verdict("p100<=1s,wrong=1", 900_000, 0), Verdict::Fails);
    }

    #[test]
    fn a_time_beyond_limit_and_lateness_together_is_the_servers() {
        let despite = |text: &str, lateness_us| {
            let conditions = parse(text, &figure).expect("conditions");
            fails_despite_lateness(&check(&conditions, &figure), lateness_us)
        };
        assert!(despite("p100<=1s", 499_999));
        assert!(!despite("p100<=1s", 500_000));
        assert!(despite("p100<=1s,wrong=1", 500_000));
        assert!(!despite("p100<=2s,wrong=0", 0));
    }

    #[test]
    fn a_burst_that_is_none_is_void_even_when_all_holds() {
        assert_eq!(verdict("p100<=2s", 0, BURST_SPREAD_MAX_US), Verdict::Holds);
        let apart = verdict("p100<=2s", 0, BURST_SPREAD_MAX_US + 1);
        assert!(matches!(apart, Verdict::Void(_)));
        assert_eq!(apart.exit_code(), 3);
    }

    #[test]
    fn what_is_no_condition_is_an_error() {
        let error = |text: &str| parse(text, &figure).err();
        let bad = |text: &str| Some(ConditionError::BadValue(text.to_owned()));
        assert_eq!(
            error("p100"),
            Some(ConditionError::Malformed("p100".to_owned()))
        );
        assert_eq!(
            error("p9x<=1s"),
            Some(ConditionError::UnknownName("p9x".to_owned()))
        );
        for text in ["p100<=2", "p100<=-1s", "wrong=0.5", "fpir<=2", "wrong=!0"] {
            assert_eq!(error(text), bad(text), "{text}");
        }
        let many = "wrong=0,".repeat(CONDITIONS_MAX + 1);
        assert_eq!(error(&many), Some(ConditionError::TooMany));
        assert_eq!(error(&"wrong=0,".repeat(CONDITIONS_MAX)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _ = parse(&text, &figure);
        }
    }
}
