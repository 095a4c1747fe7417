//! Styles, scripts and pictures, embedded in the program. The address of each carries a hash of
//! its content, so that browsers keep it for ever and never an old one.

use super::reply;
use crate::net::Response;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const ASSETS: &[Asset] = &[
    Asset {
        name: "console.css",
        content_type: CSS,
        bytes: include_bytes!("../../console/assets/console.css"),
    },
    Asset {
        name: "parts.css",
        content_type: CSS,
        bytes: include_bytes!("../../console/assets/parts.css"),
    },
    Asset {
        name: "pages.css",
        content_type: CSS,
        bytes: include_bytes!("../../console/assets/pages.css"),
    },
    Asset {
        name: "console.js",
        content_type: SCRIPT,
        bytes: include_bytes!("../../console/assets/console.js"),
    },
    Asset {
        name: "icons.svg",
        content_type: SVG,
        bytes: include_bytes!("../../console/assets/icons.svg"),
    },
    Asset {
        name: "mark.svg",
        content_type: SVG,
        bytes: include_bytes!("../../console/assets/mark.svg"),
    },
];

/// The address of an asset.
pub(super) fn address(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let hash = asset.map(|asset| blake3::hash(asset.bytes).to_hex());
    let version = hash.map_or_else(String::new, |hash| hash[..8].to_owned());
    format!("/assets/{name}?v={version}")
}

/// The asset with this path.
pub(super) fn find(path: &str) -> Option<Response> {
    let name = match path {
        "/favicon.ico" => "mark.svg",
        other => other.strip_prefix("/assets/")?,
    };
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    Some(reply::asset(asset.content_type, asset.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page loads all of these once, and then nothing but itself.
    #[test]
    fn all_assets_together_are_small() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
        assert!(bytes < 64 << 10, "{bytes} bytes");
        assert!(find("/assets/console.css").is_some());
        assert!(find("/assets/../console.css").is_none());
    }
}
