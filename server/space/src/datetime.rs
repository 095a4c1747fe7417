//! Space's local date-times: without a zone, sometimes with hour 24, sometimes unpadded.

use std::fmt;

use time::{Date, Month, PrimitiveDateTime, Time};

const DAY_S: i64 = 86_400;

/// A local date and time at the site, to the second, as Space writes it. Compares by time.
///
/// Which zone the site is in is not in any message; [`LocalDateTime::at`] takes the offset from
/// UTC, which a call of `GetInfo` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDateTime {
    /// Seconds since 1970-01-01T00:00:00 on the site's own calendar.
    second: i64,
}

impl LocalDateTime {
    /// Reads `YYYY-MM-DDThh:mm:ss`. Months to seconds may lack the leading zero
    /// (`2004-9-2T12:30:20`); hour 24 is midnight at that day's end (`2023-10-29T24:00:00`).
    /// `None` for anything else, a zone included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.trim().split_once('T')?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        let year = i32::try_from(year).ok()?;
        let date = Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
        if hour == 24 {
            let midnight = (minute == 0 && second == 0).then_some(Time::MIDNIGHT)?;
            let second = Self::from(PrimitiveDateTime::new(date, midnight)).second + DAY_S;
            return Some(Self { second });
        }
        let [hour, minute, second] = [hour, minute, second].map(|number| number as u8);
        let time = Time::from_hms(hour, minute, second).ok()?;
        Some(Self::from(PrimitiveDateTime::new(date, time)))
    }

    /// The site's local time at `unix_s` seconds since 1970 in UTC, where its clocks are
    /// `offset_s` seconds ahead of UTC.
    #[must_use]
    pub fn at(unix_s: i64, offset_s: i32) -> Self {
        Self {
            second: unix_s.saturating_add(i64::from(offset_s)),
        }
    }

    /// Seconds since 1970-01-01T00:00:00 on the site's own calendar.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.second
    }

    /// Minutes since the day began, 0..=1439.
    #[must_use]
    pub fn minute_of_day(self) -> u16 {
        (self.second.rem_euclid(DAY_S) / 60) as u16
    }

    /// Day of the week, 0 Monday to 6 Sunday.
    #[must_use]
    pub fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        (self.second.div_euclid(DAY_S) + 3).rem_euclid(7) as u8
    }

    /// How many seconds this local time is ahead of UTC, to the nearest quarter of an hour, when
    /// it was read at `unix_s`. `None` where no zone on Earth is that far off.
    #[must_use]
    pub fn offset_from(self, unix_s: i64) -> Option<i32> {
        const QUARTER_S: i64 = 900;
        const FURTHEST_S: i64 = 14 * 3600;
        let ahead = self.second.checked_sub(unix_s)?;
        let rounded = (ahead + QUARTER_S / 2).div_euclid(QUARTER_S) * QUARTER_S;
        (rounded.abs() <= FURTHEST_S).then_some(rounded as i32)
    }
}

impl From<PrimitiveDateTime> for LocalDateTime {
    fn from(date_time: PrimitiveDateTime) -> Self {
        Self {
            second: date_time.assume_utc().unix_timestamp(),
        }
    }
}

impl fmt::Display for LocalDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(date_time) = time::OffsetDateTime::from_unix_timestamp(self.second) else {
            return write!(f, "{} s", self.second);
        };
        let (year, month, day) = date_time.to_calendar_date();
        let (hour, minute, second) = date_time.to_hms();
        let month = u8::from(month);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )
    }
}

/// Three decimal numbers of at most `digits` digits each.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let fits = (1..=digits).contains(&part.len());
        if !fits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        LocalDateTime::parse(text).map(|date_time| date_time.to_string())
    }

    #[test]
    fn padded_unpadded_and_hour_24_are_read() {
        assert_eq!(
            shown("2023-10-05T14:00:09").as_deref(),
            Some("2023-10-05T14:00:09")
        );
        assert_eq!(
            shown(" 2004-9-2T12:30:20\n").as_deref(),
            Some("2004-09-02T12:30:20")
        );
        assert_eq!(
            shown("2023-10-29T24:00:00").as_deref(),
            Some("2023-10-30T00:00:00")
        );
        assert_eq!(
            shown("2023-12-31T24:00:00").as_deref(),
            Some("2024-01-01T00:00:00")
        );
        assert_eq!(
            shown("2024-2-29T1:2:3").as_deref(),
            Some("2024-02-29T01:02:03")
        );
        assert_eq!(
            shown("1900-01-01T00:00:00").as_deref(),
            Some("1900-01-01T00:00:00")
        );
    }

    #[test]
    fn anything_else_is_not_a_date() {
        for text in [
            "",
            "2023-10-05",
            "2023-02-29T00:00:00",
            "2023-13-01T00:00:00",
            "2023-10-29T24:00:01",
            "2023-10-29T24:01:00",
            "2023-10-29T25:00:00",
            "2023-10-29T23:60:00",
            "2023-10-29T23:00:00Z",
            "2023-10-29T23:00:00+01:00",
            "2023-10-29T23:00",
            "2023-10-29T23:00:00:00",
            "2023-10-029T23:00:00",
            "+2023-10-29T23:00:00",
            "2023-10-29 23:00:00",
            "99999-10-29T23:00:00",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn weekday_and_minute_are_those_of_the_calendar() {
        let monday = LocalDateTime::parse("2023-10-30T00:01:59").unwrap();
        assert_eq!((monday.weekday(), monday.minute_of_day()), (0, 1));
        let sunday = LocalDateTime::parse("1969-12-28T23:59:59").unwrap();
        assert_eq!((sunday.weekday(), sunday.minute_of_day()), (6, 1439));
    }

    #[test]
    fn the_offset_is_that_of_a_time_zone() {
        let local = LocalDateTime::parse("1970-01-01T05:44:58").unwrap();
        assert_eq!(local.offset_from(0), Some(5 * 3600 + 45 * 60));
        assert_eq!(
            LocalDateTime::at(0, 5 * 3600).to_string(),
            "1970-01-01T05:00:00"
        );
        assert_eq!(
            LocalDateTime::at(0, -3600).to_string(),
            "1969-12-31T23:00:00"
        );
        assert_eq!(LocalDateTime::at(86_400 * 3, 0).offset_from(0), None);
    }
}
