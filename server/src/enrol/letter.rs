//! The invitation as a letter: subject and plain text.

use crate::console::language::Language;

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject, one line.
    pub subject: String,
    /// The text, lines ending in LF.
    pub text: String,
}

/// What a letter is made of.
pub struct Facts<'a> {
    /// In which language.
    pub language: &'static Language,
    /// The company in charge.
    pub company: &'a str,
    /// Who is invited.
    pub name: &'a str,
    /// The address of their page.
    pub address: &'a str,
    /// The day until which they can enrol, `YYYY-MM-DD`.
    pub until: &'a str,
    /// Which way in there is without biometrics, if the site has said.
    pub alternative: Option<&'a str>,
    /// They consented to another version of the policy, and are asked again.
    pub again: bool,
}

/// Writes the letter.
#[must_use]
pub fn write(facts: &Facts<'_>) -> Letter {
    let company = ("company", facts.company);
    let text = |key: &str, place: (&str, &str)| facts.language.filled(key, &[place]);
    let alternative = match facts.alternative {
        Some(said) => said.to_owned(),
        None => text("enrol.alternative-default", company),
    };
    let says = if facts.again { "again" } else { "letter" };
    let mut lines = vec![
        text("enrol.hello", ("name", facts.name)),
        String::new(),
        text(&format!("enrol.{says}-text"), company),
        String::new(),
        facts.address.to_owned(),
        String::new(),
    ];
    // Who is enrolled decides whenever they like.
    lines.push(match facts.again {
        true => text("enrol.again-until", company),
        false => text("enrol.letter-expires", ("date", facts.until)),
    });
    lines.extend([
        text("enrol.alternative-text", ("alternative", &alternative)),
        text("enrol.letter-secret", company),
        String::new(),
        facts.company.to_owned(),
        String::new(),
    ]);
    Letter {
        subject: text(&format!("enrol.{says}-subject"), company),
        text: lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Fails if a letter in any language lacks the link, the name, the day or the other way in.
    #[test]
    fn a_letter_says_who_what_until_when_and_what_else() {
        for language in Language::all() {
            let mut facts = Facts {
                language,
                company: "Acme",
                name: "Zoë",
                address: "https://a.example/enrol/xyz",
                until: "2026-12-01",
                alternative: Some("Use the card."),
                again: false,
            };
            let first = write(&facts);
            facts.again = true;
            let again = write(&facts);
            assert_ne!(first, again, "asking again says so");
            assert!(first.text.contains("2026-12-01"), "{}", first.text);
            assert!(!again.text.contains("2026-12-01"), "{}", again.text);
            let parts = [
                "Acme",
                "Zoë",
                "https://a.example/enrol/xyz",
                "Use the card.",
            ];
            for letter in [first, again] {
                for part in parts {
                    assert!(letter.text.contains(part), "{part} {}", letter.text);
                }
                assert!(letter.subject.contains("Acme") && !letter.subject.contains('\n'));
            }
        }
    }
}
