//! Translations: plain TOML files, one for each language and area, embedded in the program.
//!
//! `[people] title = "People"` is the key `people.title`. A text may have places as `{count}`. A
//! key that is missing shows itself; a test fails on it.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The cookie that remembers the choice.
pub const COOKIE: &str = "__Host-language";

/// A language of the console.
#[derive(Debug)]
pub struct Language {
    /// As HTML names it.
    pub code: &'static str,
    /// In its own words.
    pub name: &'static str,
    /// `ltr` or `rtl`.
    pub direction: &'static str,
    files: &'static [&'static str],
    texts: OnceLock<HashMap<String, String>>,
}

/// The files of a language, one for each area: to add an area, add its name here and a file to
/// each folder.
macro_rules! files {
    ($code:literal) => {
        &[
            include_str!(concat!(
                "../../console/translations/",
                $code,
                "/devices.toml"
            )),
            include_str!(concat!("../../console/translations/", $code, "/enrol.toml")),
            include_str!(concat!("../../console/translations/", $code, "/frame.toml")),
            include_str!(concat!(
                "../../console/translations/",
                $code,
                "/integrations.toml"
            )),
            include_str!(concat!("../../console/translations/", $code, "/logs.toml")),
            include_str!(concat!(
                "../../console/translations/",
                $code,
                "/people.toml"
            )),
            include_str!(concat!(
                "../../console/translations/",
                $code,
                "/service.toml"
            )),
            include_str!(concat!("../../console/translations/", $code, "/team.toml")),
        ]
    };
}

static LANGUAGES: [Language; 6] = [
    language("en", "English", "ltr", files!("en")),
    language("fr", "Français", "ltr", files!("fr")),
    language("de", "Deutsch", "ltr", files!("de")),
    language("nl", "Nederlands", "ltr", files!("nl")),
    language("es", "Español", "ltr", files!("es")),
    language("ar", "العربية", "rtl", files!("ar")),
];

const fn language(
    code: &'static str,
    name: &'static str,
    direction: &'static str,
    files: &'static [&'static str],
) -> Language {
    Language {
        code,
        name,
        direction,
        files,
        texts: OnceLock::new(),
    }
}

impl Language {
    /// All languages.
    #[must_use]
    pub fn all() -> &'static [Language] {
        &LANGUAGES
    }

    /// The language of this code.
    #[must_use]
    pub fn named(code: &str) -> Option<&'static Self> {
        LANGUAGES.iter().find(|language| language.code == code)
    }

    /// The language that was chosen, else the first that the browser wants, else English.
    #[must_use]
    pub fn choose(chosen: Option<&str>, accepted: Option<&str>) -> &'static Self {
        let wanted = accepted.unwrap_or_default().split(',').map(|entry| {
            let tag = entry.split(';').next().unwrap_or_default().trim();
            tag.split('-').next().unwrap_or_default()
        });
        let mut known = chosen.into_iter().chain(wanted).filter_map(Self::named);
        known.next().unwrap_or(&LANGUAGES[0])
    }

    /// The text of a key; the key itself if there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &'static str {
        let known = LANGUAGES.iter().find(|language| language.code == self.code);
        let found = known.and_then(|language| language.texts().get(key));
        found.map_or_else(|| missing(key), String::as_str)
    }

    /// The text of a key, if there is one.
    #[must_use]
    pub fn known(&self, key: &str) -> Option<&str> {
        self.texts().get(key).map(String::as_str)
    }

    /// The text of a key with its places filled.
    #[must_use]
    pub fn filled(&self, key: &str, places: &[(&str, &str)]) -> String {
        let text = self.text(key).to_owned();
        places.iter().fold(text, |text, (place, value)| {
            text.replace(&format!("{{{place}}}"), value)
        })
    }

    fn texts(&self) -> &HashMap<String, String> {
        self.texts.get_or_init(|| {
            let mut texts = HashMap::new();
            for file in self.files {
                match toml::from_str::<toml::Table>(file) {
                    Ok(table) => flatten("", &table, &mut texts),
                    // A test reads every file; a key that is missing shows itself.
                    Err(error) => tracing::error!(language = self.code, %error, "translations"),
                }
            }
            texts
        })
    }
}

fn missing(key: &str) -> &'static str {
    tracing::warn!(key, "a text is missing");
    "…"
}

fn flatten(before: &str, table: &toml::Table, texts: &mut HashMap<String, String>) {
    for (name, value) in table {
        let key = match before.is_empty() {
            true => name.clone(),
            false => format!("{before}.{name}"),
        };
        match value {
            toml::Value::Table(table) => flatten(&key, table, texts),
            toml::Value::String(text) => drop(texts.insert(key, text.clone())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
