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
    let lines = [
        text("enrol.hello", ("name", facts.name)),
        String::new(),
        text("enrol.letter-text", company),
        String::new(),
        facts.address.to_owned(),
        String::new(),
        text("enrol.letter-expires", ("date", facts.until)),
        text("enrol.alternative-text", ("alternative", &alternative)),
        text("enrol.letter-secret", company),
        String::new(),
        facts.company.to_owned(),
        String::new(),
    ];
    Letter {
        subject: text("enrol.letter-subject", company),
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
            let letter = write(&Facts {
                language,
                company: "Acme",
                name: "Zoë",
                address: "https://a.example/enrol/xyz",
                until: "2026-12-01",
                alternative: Some("Use the card."),
            });
            for part in [
                "Acme",
                "Zoë",
                "https://a.example/enrol/xyz",
                "2026-12-01",
                "Use the card.",
            ] {
                assert!(letter.text.contains(part), "{part} {}", letter.text);
            }
            assert!(letter.subject.contains("Acme") && !letter.subject.contains('\n'));
        }
    }
}
