//! An invitation's link: whoever has it is taken for the person. The store keeps a hash of its
//! token only, and nothing logs its path.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardea_wire::enrol::LINK_PATH;
use cardea_wire::limits::TOKEN_BYTES;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::error::SecretError;
use crate::secrets::random;
use crate::store::{TokenHash, invitation_hash};

/// Modules of white around a QR code are in its rendering; this is its least width in pixels.
const QR_PIXELS_MIN: u32 = 240;

/// The secret of an invitation: 128 random bits.
pub struct Link {
    token: Zeroizing<[u8; TOKEN_BYTES]>,
}

impl Link {
    /// A new one.
    ///
    /// # Errors
    /// If the machine gives no random numbers.
    pub fn new() -> Result<Self, SecretError> {
        Ok(Self { token: random()? })
    }

    /// From the token's bytes.
    #[must_use]
    pub fn from_token(token: [u8; TOKEN_BYTES]) -> Self {
        Self {
            token: Zeroizing::new(token),
        }
    }

    /// From its 22 characters; none for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let token = bytes.as_slice().try_into().ok()?;
        Some(Self::from_token(token))
    }

    /// The token's bytes, to be sealed.
    #[must_use]
    pub fn token(&self) -> &[u8; TOKEN_BYTES] {
        &self.token
    }

    /// What the store keeps.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        invitation_hash(&self.token)
    }

    /// The 22 characters of the token.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.token.as_slice())
    }

    /// The address of the person's own page; `pages_url` is `https://host[:port]`.
    #[must_use]
    pub fn address(&self, pages_url: &str) -> String {
        format!("{pages_url}{LINK_PATH}{}", self.text())
    }
}

/// A QR code as an SVG of its own; none for a text that is too long for one.
#[must_use]
pub fn qr_svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let mut render = code.render::<svg::Color<'_>>();
    let svg = render
        .min_dimensions(QR_PIXELS_MIN, QR_PIXELS_MIN)
        .dark_color(svg::Color("#000"))
        .light_color(svg::Color("#fff"))
        .build();
    // It stands within pages, too.
    let start = svg.find("<svg")?;
    Some(svg[start..].to_owned())
}

/// A sheet to print: an SVG with who it is for, the QR code and the address in letters.
#[must_use]
pub fn sheet_svg(company: &str, name: &str, address: &str) -> Option<String> {
    let code = qr_svg(address)?;
    let code = code.replacen("<svg", "<svg x=\"80\" y=\"90\"", 1);
    let text = |x: u32, y: u32, size: u32, text: &str| {
        let text = escaped(text);
        format!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\">{text}</text>")
    };
    let lines = [
        text(40, 40, 20, company),
        text(40, 70, 16, name),
        text(40, 400, 10, address),
    ];
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 420 430\" width=\"420\" \
         height=\"430\" font-family=\"sans-serif\"><rect width=\"420\" height=\"430\" \
         fill=\"#fff\"/>{}{code}</svg>",
        lines.concat()
    ))
}

fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_found_by_its_characters_and_by_nothing_else() {
        let link = Link::new().expect("randomness");
        let text = link.text();
        assert_eq!(text.len(), 22);
        let again = Link::parse(&text).expect("a link");
        assert_eq!(again.token(), link.token());
        assert!(again.hash() == link.hash());
        for bad in [
            "",
            &text[1..],
            &format!("{text}A"),
            "!!!!!!!!!!!!!!!!!!!!!!",
        ] {
            assert!(Link::parse(bad).is_none(), "{bad}");
        }
        let address = link.address("https://face.example.org");
        assert_eq!(address, format!("https://face.example.org/enrol/{text}"));
    }

    #[test]
    fn a_sheet_escapes_what_people_are_called() {
        let sheet = sheet_svg("A & B", "<Zoë>", "https://a.example/enrol/x").expect("a sheet");
        assert!(sheet.contains("A &amp; B") && sheet.contains("&lt;Zoë&gt;"));
        assert!(!sheet.contains("<Zoë>"));
        assert_eq!(sheet.matches("<svg").count(), 2);
        assert!(qr_svg(&"x".repeat(4_000)).is_none());
    }
}
