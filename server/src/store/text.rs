//! Texts from outside, checked before they are stored.

use super::error::StoreError;

/// A text of 1 to `max` bytes without control characters.
pub(crate) fn checked<'a>(
    field: &'static str,
    text: &'a str,
    max: usize,
) -> Result<&'a str, StoreError> {
    if text.is_empty() || text.len() > max {
        return Err(StoreError::Invalid { field, max });
    }
    if text.chars().any(char::is_control) {
        return Err(StoreError::Invalid { field, max: 0 });
    }
    Ok(text)
}

/// A name as searches compare it.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_control_characters() {
        assert_eq!(checked("name", "Zoë", 4), Ok("Zoë"));
        let long = Err(StoreError::Invalid {
            field: "name",
            max: 3,
        });
        assert_eq!(checked("name", "Zoë", 3), long);
        assert_eq!(checked("name", "", 3), long);
        let odd = Err(StoreError::Invalid {
            field: "name",
            max: 0,
        });
        assert_eq!(checked("name", "a\nb", 9), odd);
    }
}
