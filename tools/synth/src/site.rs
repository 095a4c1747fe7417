//! The synthetic site: who is enrolled, under which external id and name.

use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Embedding, PersonId, ReferenceId, Row};
use cardea_loadtest::probes::Person;

use crate::limits::{PEOPLE_MAX, REFERENCES_PER_PERSON_MAX};

const FIRST_NAMES: [&str; 32] = [
    "Ada", "Amal", "Anna", "Bela", "Bruno", "Carla", "Chen", "Dalia", "Diego", "Elif", "Emil",
    "Fatima", "Goran", "Hana", "Ines", "Ivan", "Jana", "Kofi", "Lea", "Liam", "Maja", "Marco",
    "Nadia", "Noor", "Olga", "Omar", "Priya", "Rosa", "Sami", "Tara", "Viktor", "Yuki",
];
const LAST_NAMES: [&str; 32] = [
    "Abe", "Almeida", "Bauer", "Berg", "Costa", "Dias", "Dubois", "Ekman", "Farah", "Fischer",
    "Garcia", "Haddad", "Hoffmann", "Ito", "Jansen", "Kaya", "Keller", "Kovac", "Laine", "Lopez",
    "Martin", "Mensah", "Nilsen", "Novak", "Okafor", "Patel", "Rossi", "Sato", "Silva", "Smit",
    "Weber", "Yilmaz",
];

/// A site from a seed. Row `r` of its files is reference `r % references` of person
/// `r / references`; reference ids rise with the rows.
#[derive(Debug)]
pub(crate) struct Site {
    population: Synthetic,
    /// The seed.
    pub(crate) seed: u64,
    /// People enrolled.
    pub(crate) people: u64,
    references: u64,
}

impl Site {
    /// The site of a seed; the numbers are checked against the limits.
    pub(crate) fn new(
        seed: u64,
        people: u64,
        references: u64,
        isotropic: bool,
    ) -> Result<Self, String> {
        if !(1..=PEOPLE_MAX).contains(&people) {
            return Err(format!("1 to {PEOPLE_MAX} people"));
        }
        if !(1..=REFERENCES_PER_PERSON_MAX).contains(&references) {
            return Err(format!(
                "1 to {REFERENCES_PER_PERSON_MAX} references a person"
            ));
        }
        let shape = if isotropic {
            Shape::Isotropic
        } else {
            Shape::Realistic
        };
        Ok(Self {
            population: Synthetic::new(seed, shape),
            seed,
            people,
            references,
        })
    }

    /// The population that probes are drawn from.
    pub(crate) fn population(&self) -> &Synthetic {
        &self.population
    }

    /// Rows of the whole site.
    pub(crate) fn rows(&self) -> u64 {
        self.people * self.references
    }

    /// The person of a row.
    pub(crate) fn person_of(&self, row: u64) -> u64 {
        row / self.references
    }

    /// The embedding of a row.
    pub(crate) fn embedding(&self, row: u64) -> Embedding {
        let (person, index) = (row / self.references, row % self.references);
        self.population.reference(person, index)
    }

    /// A row as the gallery will hold it.
    pub(crate) fn row(&self, row: u64) -> Row {
        Row {
            reference: ReferenceId(row),
            person: PersonId(self.person_of(row)),
            embedding: self.embedding(row),
        }
    }
}

/// A person's external id.
pub(crate) fn external_id(person: u64) -> String {
    format!("P{person:08}")
}

/// A person as answers name them.
pub(crate) fn tagged(person: u64) -> Person {
    let external_id = external_id(person);
    let hash = blake3::hash(external_id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    Person {
        tag: u64::from_le_bytes(first),
        external_id,
    }
}

/// A person's name.
pub(crate) fn name(person: u64) -> String {
    let first = FIRST_NAMES[(person % 32) as usize];
    let last = LAST_NAMES[(person / 32 % 32) as usize];
    match person / 1_024 {
        0 => format!("{first} {last}"),
        generation => format!("{first} {last} {}", generation + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_tag_is_the_beginning_of_blake3_of_the_external_id() {
        // b3sum of "P00000000", first 8 bytes, read as little-endian.
        let person = tagged(0);
        let hex = blake3::hash(b"P00000000").to_hex();
        let expected = u64::from_str_radix(&hex[..16], 16)
            .expect("hex")
            .swap_bytes();
        assert_eq!(
            (person.tag, person.external_id.as_str()),
            (expected, "P00000000")
        );
    }

    #[test]
    fn names_differ_and_rows_of_a_person_lie_together() {
        let names: std::collections::BTreeSet<String> = (0..5_000).map(name).collect();
        assert_eq!(names.len(), 5_000);
        let site = Site::new(1, 10, 3, false).expect("a site");
        let people: Vec<u64> = (0..7).map(|row| site.person_of(row)).collect();
        assert_eq!(people, [0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(site.rows(), 30);
        assert_eq!(site.embedding(3), site.population().reference(1, 0));
    }

    #[test]
    fn every_bound_is_kept() {
        assert!(Site::new(1, 0, 1, false).is_err());
        assert!(Site::new(1, PEOPLE_MAX + 1, 1, false).is_err());
        assert!(Site::new(1, 1, 0, false).is_err());
        assert!(Site::new(1, 1, REFERENCES_PER_PERSON_MAX + 1, false).is_err());
    }
}
