//! Whole numbers as JSON Schema has them: 5 and 5.0 are the same number, and both are an integer.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// Reads a whole number.
///
/// # Errors
/// If it is none, or none of this type.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<T, D::Error> {
    let number = Number::deserialize(from)?;
    read(&number).ok_or_else(|| D::Error::custom(format!("{number} is not in its range")))
}

/// Reads a whole number or null.
///
/// # Errors
/// As [`whole`].
pub fn whole_or_null<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(from)? else {
        return Ok(None);
    };
    let wrong = || D::Error::custom(format!("{number} is not in its range"));
    read(&number).map(Some).ok_or_else(wrong)
}

fn read<T: TryFrom<u64>>(number: &Number) -> Option<T> {
    let plain = number.as_u64();
    // Beyond 2^53 a float is no one number.
    let float = || {
        let float = number.as_f64()?;
        let exact = float.fract() == 0.0 && (0.0..=9e15).contains(&float);
        exact.then_some(float as u64)
    };
    T::try_from(plain.or_else(float)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Asked {
        #[serde(deserialize_with = "whole")]
        port: u16,
        #[serde(default, deserialize_with = "whole_or_null")]
        days: Option<u16>,
    }

    fn read_of(text: &str) -> Option<(u16, Option<u16>)> {
        let asked: Asked = serde_json::from_str(text).ok()?;
        Some((asked.port, asked.days))
    }

    /// Taking a float that is none, or one past the type's end, fails this.
    #[test]
    fn a_float_without_a_fraction_is_a_whole_number() {
        for (text, read) in [
            (r#"{"port": 5}"#, Some((5, None))),
            (r#"{"port": 5.0, "days": 7e1}"#, Some((5, Some(70)))),
            (r#"{"port": 5, "days": null}"#, Some((5, None))),
            (r#"{"port": 5.5}"#, None),
            (r#"{"port": -1}"#, None),
            (r#"{"port": -1.0}"#, None),
            (r#"{"port": 65536.0}"#, None),
            (r#"{"port": 1e300}"#, None),
            (r#"{"port": "5"}"#, None),
            (r#"{"port": 5, "days": "7"}"#, None),
            (r#"{"days": 7}"#, None),
        ] {
            assert_eq!(read_of(text), read, "{text}");
        }
    }
}
