//! The identifiers that Space gives to users, doors, zones and groups.

use std::fmt;

use crate::limits::EXT_ID_BYTES_MAX;

/// An `ExtUserID`, `ExtDoorID`, `ExtZoneID` or `ExtGroupID`: 32 hex digits, or a string the site
/// chose. Not empty, at most [`EXT_ID_BYTES_MAX`] bytes, no control characters. 32 hex digits are
/// kept in upper case, as Space writes them; all else compares exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtId(Box<str>);

impl ExtId {
    /// Trims and checks `text`. `None` when it is no identifier.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const HEX_DIGITS: usize = 32;
        let text = text.trim();
        if text.is_empty() || text.len() > EXT_ID_BYTES_MAX || text.contains(char::is_control) {
            return None;
        }
        if text.len() == HEX_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(Self(text.to_ascii_uppercase().into()));
        }
        Some(Self(text.into()))
    }

    /// The identifier as Space writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExtId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_kept_in_upper_case_and_other_strings_as_they_are() {
        let hex = ExtId::parse(" 4597bba325a95dc1228008dbbe7ba912\n").unwrap();
        assert_eq!(hex.as_str(), "4597BBA325A95DC1228008DBBE7BA912");
        assert_eq!(ExtId::parse("staff-7a").unwrap().as_str(), "staff-7a");
        assert_ne!(ExtId::parse("staff-7a"), ExtId::parse("STAFF-7A"));
    }

    #[test]
    fn empty_long_and_unprintable_ones_are_refused() {
        assert_eq!(ExtId::parse("  "), None);
        assert_eq!(ExtId::parse("a\u{7}b"), None);
        assert!(ExtId::parse(&"x".repeat(EXT_ID_BYTES_MAX)).is_some());
        assert_eq!(ExtId::parse(&"x".repeat(EXT_ID_BYTES_MAX + 1)), None);
    }
}
