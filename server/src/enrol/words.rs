//! The texts of letters and people's own pages, in six languages: plain files beside the
//! console's templates.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A language of letters and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(&'static str);

/// The files, English first.
const FILES: [(&str, &str); 6] = [
    ("en", include_str!("../../console/enrol/en.toml")),
    ("fr", include_str!("../../console/enrol/fr.toml")),
    ("de", include_str!("../../console/enrol/de.toml")),
    ("nl", include_str!("../../console/enrol/nl.toml")),
    ("es", include_str!("../../console/enrol/es.toml")),
    ("ar", include_str!("../../console/enrol/ar.toml")),
];

type Texts = BTreeMap<String, String>;

impl Language {
    /// English, where nothing else is asked for.
    pub const ENGLISH: Self = Self("en");

    /// Every language.
    pub fn all() -> impl Iterator<Item = Self> {
        FILES.iter().map(|(code, _)| Self(code))
    }

    /// The language of two letters, if it is one of ours.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::all().find(|language| language.0 == code)
    }

    /// Its two letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0
    }

    /// The direction of its script, as HTML names it.
    #[must_use]
    pub fn direction(self) -> &'static str {
        if self.0 == "ar" { "rtl" } else { "ltr" }
    }

    /// A text with its places, as `{name}`, filled.
    ///
    /// # Panics
    /// For a key that no file has: a programming error, and a test reads every key.
    #[must_use]
    pub fn text(self, key: &str, places: &[(&str, &str)]) -> String {
        let texts = texts().get(self.0);
        let found = texts.and_then(|texts| texts.get(key));
        let Some(found) = found else {
            panic!("no text {key}");
        };
        // One pass, so that what fills a place is never looked into.
        let mut out = String::with_capacity(found.len());
        let mut rest = found.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (place, after) = after.split_once('}').unwrap_or((after, ""));
            let value = places.iter().find(|(name, _)| *name == place);
            out.push_str(value.map_or("", |(_, value)| value));
            rest = after;
        }
        out + rest
    }
}

fn texts() -> &'static BTreeMap<&'static str, Texts> {
    static TEXTS: OnceLock<BTreeMap<&'static str, Texts>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        FILES
            .iter()
            // A file that is none has no texts; a test reads them all.
            .map(|(code, file)| (*code, toml::from_str(file).unwrap_or_default()))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<&str> {
        let parts = text.split('{').skip(1);
        let mut places: Vec<_> = parts.filter_map(|part| part.split('}').next()).collect();
        places.sort_unstable();
        places
    }

    // Fails if a key or a place is missing in one language, or a text is empty.
    #[test]
    fn every_language_says_the_same() {
        let all = texts();
        let english = &all["en"];
        assert!(english.len() > 50, "{}", english.len());
        for (language, texts) in all {
            let keys: Vec<_> = texts.keys().collect();
            assert_eq!(keys, english.keys().collect::<Vec<_>>(), "{language}");
            for (key, text) in texts {
                assert!(!text.trim().is_empty(), "{language} {key}");
                assert_eq!(places(text), places(&english[key]), "{language} {key}");
            }
        }
    }

    #[test]
    fn places_are_filled_once() {
        let hello = Language::ENGLISH.text("hello", &[("name", "{name} {company}")]);
        assert_eq!(hello, "Hello {name} {company}");
        assert_eq!(Language::parse("ar").map(Language::direction), Some("rtl"));
        assert_eq!(Language::parse("xx"), None);
    }
}
