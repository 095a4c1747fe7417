//! Fields of a form or a query, as browsers send them.

use crate::limits::{FORM_FIELDS_MAX, FORM_VALUE_BYTES_MAX};

/// The type of a form's body.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Fields in their order; names may repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `a=1&b=2`; fields past [`FORM_FIELDS_MAX`], and values longer than
    /// [`FORM_VALUE_BYTES_MAX`], are left out: a page shows again what was entered.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let fields = form_urlencoded::parse(bytes)
            .take(FORM_FIELDS_MAX)
            .filter(|(_, value)| value.len() <= FORM_VALUE_BYTES_MAX);
        Self(
            fields
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// A form of these fields.
    pub(super) fn of(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// The first value of a field, without surrounding blanks; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).unwrap_or_default().trim()
    }

    /// The first value of a field as it came.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a field is there: a ticked box.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_bounded() {
        let form = Form::parse(b"a=%C3%A9+x&b=&a=2&flag");
        assert_eq!(
            (form.text("a"), form.text("b"), form.text("c")),
            ("é x", "", "")
        );
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["é x", "2"]);
        assert!(form.has("flag") && !form.has("other"));
        let many = "a=1&".repeat(FORM_FIELDS_MAX + 5);
        assert_eq!(Form::parse(many.as_bytes()).0.len(), FORM_FIELDS_MAX);
        let long = format!("a={}&b=1", "x".repeat(FORM_VALUE_BYTES_MAX + 1));
        let form = Form::parse(long.as_bytes());
        assert_eq!((form.has("a"), form.text("b")), (false, "1"));
        assert!(Form::parse(&[0xff, b'=', 0xfe, b'%', b'z']).0.len() == 1);
    }
}
