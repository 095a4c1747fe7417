//! Timezone tables: Space only names them by number, so the site describes in the configuration
//! those that its permissions use. Table 0 is always.

use std::collections::BTreeMap;
use std::fmt;

use crate::datetime::LocalDateTime;
use crate::limits::TIMETABLE_INTERVALS_MAX;

const DAY_MINUTES: u16 = 24 * 60;
const WEEKDAYS: u8 = 7;

/// From one minute of the day until before another, on some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Bit 0 Monday to bit 6 Sunday.
    weekdays: u8,
    start_minute: u16,
    end_minute: u16,
}

/// Why a description of a table is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimetableError {
    /// Not `DAYS hh:mm-hh:mm`; this was found.
    Form(String),
    /// More than [`TIMETABLE_INTERVALS_MAX`] intervals in one table.
    TooManyIntervals,
    /// Table 0 is always, and cannot be described.
    Zero,
}

impl fmt::Display for TimetableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(found) => write!(
                f,
                "{found:?} is no interval; write days and times like \"mon-fri 08:00-17:30\""
            ),
            Self::TooManyIntervals => {
                write!(
                    f,
                    "more than {TIMETABLE_INTERVALS_MAX} intervals in one timezone table"
                )
            }
            Self::Zero => f.write_str("timezone table 0 is always and cannot be described"),
        }
    }
}

impl std::error::Error for TimetableError {}

impl Interval {
    /// Reads `mon-fri 08:00-17:30`, `sat,sun 10:00-24:00`, `mon 00:00-24:00`. Over midnight takes
    /// two intervals.
    ///
    /// # Errors
    /// [`TimetableError::Form`].
    pub fn parse(text: &str) -> Result<Self, TimetableError> {
        let form = || TimetableError::Form(text.chars().take(60).collect());
        let (days, times) = text.trim().split_once(' ').ok_or_else(form)?;
        let (start, end) = times.trim().split_once('-').ok_or_else(form)?;
        let start_minute = minute(start).ok_or_else(form)?;
        let end_minute = minute(end).ok_or_else(form)?;
        let weekdays = weekdays(days).ok_or_else(form)?;
        if start_minute >= end_minute {
            return Err(form());
        }
        Ok(Self {
            weekdays,
            start_minute,
            end_minute,
        })
    }

    fn holds(&self, now: LocalDateTime) -> bool {
        let minute = now.minute_of_day();
        self.weekdays >> now.weekday() & 1 == 1
            && (self.start_minute..self.end_minute).contains(&minute)
    }
}

/// The tables that the site has described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timetables(BTreeMap<u32, Vec<Interval>>);

impl Timetables {
    /// Describes `table`: within any of `intervals` its permissions hold.
    ///
    /// # Errors
    /// [`TimetableError::Zero`] and [`TimetableError::TooManyIntervals`].
    pub fn describe(&mut self, table: u32, intervals: Vec<Interval>) -> Result<(), TimetableError> {
        if table == 0 {
            return Err(TimetableError::Zero);
        }
        if intervals.len() > TIMETABLE_INTERVALS_MAX {
            return Err(TimetableError::TooManyIntervals);
        }
        self.0.insert(table, intervals);
        Ok(())
    }

    /// Whether `table` holds at `now`; `None` when it was not described.
    pub(super) fn holds(&self, table: u32, now: LocalDateTime) -> Option<bool> {
        if table == 0 {
            return Some(true);
        }
        let intervals = self.0.get(&table)?;
        Some(intervals.iter().any(|interval| interval.holds(now)))
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY_MINUTES).then_some(minutes)
}

fn weekdays(text: &str) -> Option<u8> {
    let mut bits = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (weekday(first)?, weekday(last)?);
        let mut day = first;
        bits |= 1 << day;
        while day != last {
            day = (day + 1) % WEEKDAYS;
            bits |= 1 << day;
        }
    }
    Some(bits)
}

fn weekday(text: &str) -> Option<u8> {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let place = names
        .iter()
        .position(|name| text.eq_ignore_ascii_case(name))?;
    u8::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> LocalDateTime {
        LocalDateTime::parse(text).unwrap()
    }

    #[test]
    fn intervals_hold_from_their_start_until_before_their_end() {
        let office = Interval::parse("mon-fri 08:00-17:30").unwrap();
        assert!(!office.holds(at("2023-10-30T07:59:59")));
        assert!(office.holds(at("2023-10-30T08:00:00")));
        assert!(office.holds(at("2023-11-03T17:29:59")));
        assert!(!office.holds(at("2023-11-03T17:30:00")));
        assert!(!office.holds(at("2023-11-04T12:00:00")));
        let over_sunday = Interval::parse("sat-mon,WED 00:00-24:00").unwrap();
        assert!(over_sunday.holds(at("2023-10-30T23:59:59")));
        assert!(!over_sunday.holds(at("2023-10-31T12:00:00")));
        assert!(over_sunday.holds(at("2023-11-01T12:00:00")));
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for text in [
            "",
            "mon",
            "mon 8:00-9:00",
            "mon 09:00-08:00",
            "mon 08:00-24:01",
            "mo 08:00-09:00",
            "mon 08:60-09:00",
            "mon 08:00-08:00",
            "mon- 08:00-09:00",
            "mon +8:00-09:00",
        ] {
            assert!(
                matches!(Interval::parse(text), Err(TimetableError::Form(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn table_0_is_always_and_others_are_as_described() {
        let mut timetables = Timetables::default();
        let now = at("2023-10-30T12:00:00");
        assert_eq!(timetables.holds(0, now), Some(true));
        assert_eq!(timetables.holds(1, now), None);
        let noon = Interval::parse("mon 12:00-12:01").unwrap();
        timetables.describe(1, vec![noon]).unwrap();
        assert_eq!(timetables.holds(1, now), Some(true));
        timetables.describe(1, Vec::new()).unwrap();
        assert_eq!(timetables.holds(1, now), Some(false));
        assert_eq!(
            timetables.describe(0, Vec::new()),
            Err(TimetableError::Zero)
        );
        assert!(
            timetables
                .describe(2, vec![noon; TIMETABLE_INTERVALS_MAX])
                .is_ok()
        );
        let more = vec![noon; TIMETABLE_INTERVALS_MAX + 1];
        assert_eq!(
            timetables.describe(2, more),
            Err(TimetableError::TooManyIntervals)
        );
    }
}
