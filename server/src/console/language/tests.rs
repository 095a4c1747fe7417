//! Every text is there in every language, and every key that is named is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

fn places(text: &str) -> BTreeSet<&str> {
    let after = text.split('{').skip(1);
    after.filter_map(|rest| rest.split('}').next()).collect()
}

/// The keys that a source or a template names, as `t("a.b")`, `filled("a.b", ..)` and the like.
fn named(text: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for call in [
        "t(\"",
        "text(\"",
        "filled(\"",
        "key(\"",
        "done(\"",
        "wrong(\"",
    ] {
        for rest in text.split(call).skip(1) {
            let key = rest.split('"').next().unwrap_or_default();
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
            // `asset("mark.svg")` ends as `t("..")` begins.
            let asset = [".svg", ".css", ".js"].iter().any(|end| key.ends_with(end));
            if !asset && key.contains('.') && key.chars().all(plain) {
                keys.insert(key.to_owned());
            }
        }
    }
    keys
}

fn collect(folder: &Path, keys: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, keys);
        } else if !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            keys.extend(named(code));
        }
    }
}

/// Take one line out of any file of translations, and this fails.
#[test]
fn every_language_has_every_text_with_the_same_places() {
    let english = LANGUAGES[0].texts();
    assert!(
        english.len() > 50,
        "only {} texts: the files are not read",
        english.len()
    );
    for language in &LANGUAGES {
        let texts = language.texts();
        for (key, text) in english {
            let translated = texts.get(key);
            let translated = translated.unwrap_or_else(|| panic!("{} lacks {key}", language.code));
            assert!(
                !translated.trim().is_empty(),
                "{} {key} is empty",
                language.code
            );
            assert_eq!(places(text), places(translated), "{} {key}", language.code);
        }
        for key in texts.keys() {
            assert!(
                english.contains_key(key),
                "{} has {key}, English not",
                language.code
            );
        }
        for file in language.files {
            toml::from_str::<toml::Table>(file).expect("TOML");
        }
    }
}

#[test]
fn every_text_that_is_named_is_there() {
    let mut keys = BTreeSet::new();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    collect(&crate_folder.join("src/console"), &mut keys);
    collect(&crate_folder.join("console/templates"), &mut keys);
    assert!(
        keys.len() > 20,
        "only {} keys found: the search is blind",
        keys.len()
    );
    let texts = LANGUAGES[0].texts();
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| !texts.contains_key(*key))
        .collect();
    assert!(missing.is_empty(), "no text for {missing:?}");
}

#[test]
fn the_choice_comes_first_then_the_browsers_wishes() {
    let chosen = |cookie, header| Language::choose(cookie, header).code;
    assert_eq!(chosen(Some("ar"), Some("fr")), "ar");
    assert_eq!(chosen(Some("xx"), Some("fr-CH, en;q=0.9")), "fr");
    assert_eq!(chosen(None, Some("xx, de-AT;q=0.5")), "de");
    assert_eq!(chosen(None, None), "en");
    let filled = LANGUAGES[0].filled("problem.wait", &[("seconds", "7")]);
    assert!(filled.contains('7') && !filled.contains('{'), "{filled}");
}
