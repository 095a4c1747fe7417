//! QR codes as SVG: dark on white in every colour scheme, because cameras read them.

use super::reply::Failure;
use crate::enrol::link::qr_svg;

/// The picture of a text; `name` says what it is to who cannot see it.
///
/// # Errors
/// If the text is too long for a QR code.
pub(super) fn svg(text: &str, name: &str) -> Result<String, Failure> {
    let picture = qr_svg(text).unwrap_or_default();
    let Some((_, picture)) = picture.split_once("<svg") else {
        return Err(Failure::Broken("a text too long for a QR code".to_owned()));
    };
    let name = name.replace('&', "&amp;").replace('"', "&quot;");
    let name = name.replace('<', "&lt;");
    Ok(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{name}\"{picture}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_picture_and_its_name_cannot_leave_the_attribute() {
        let picture = svg("cardea-health1", "a \"<b>\" & c").expect("short");
        assert!(picture.starts_with("<svg class=\"qr\" role=\"img\""));
        assert!(picture.ends_with("</svg>") && !picture.contains("style="));
        assert!(picture.contains("a &quot;&lt;b>&quot; &amp; c"));
        assert!(svg(&"x".repeat(5_000), "").is_err());
    }
}
