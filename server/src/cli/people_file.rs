//! Files of people to import: JSON Lines, or a CSV of people beside an `.npy` of embeddings.
//!
//! ```text
//! people.jsonl   {"external_id": "..", "name": "..", "doors": "*", "policy_version": "..",
//!                 "consented_at": "2026-01-31T09:00:00Z", "embeddings": [[512 numbers], ..]}
//! people.csv     external_id,name,doors,policy_version,consented_at
//! people.npy     float32, rows x 512; row i belongs to line i of the CSV
//! ```
//! Rows of a CSV that follow each other with one external id are references of one person.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardea_engine::{DIM, Embedding};
use serde::Deserialize;

use crate::admin::message::NewPerson;
use crate::limits::PERSON_REFERENCES_MAX;

/// A person with the line that named them first.
pub struct Entry {
    /// Line of the file, from 1; a CSV's head is line 1.
    pub line: u64,
    /// The person.
    pub person: NewPerson,
}

/// A line that cannot be taken.
#[derive(Debug)]
pub struct BadLine {
    /// Line of the file, from 1.
    pub line: u64,
    /// Why, without repeating what the line says.
    pub why: String,
}

/// What a file holds, entry by entry.
pub type Entries = Box<dyn Iterator<Item = Result<Entry, BadLine>>>;

/// Opens `people`; `embeddings` is the `.npy` beside a CSV.
///
/// # Errors
/// If a file cannot be read, or the `.npy` is not rows x 512 floats.
pub fn open(people: &Path, embeddings: Option<&Path>) -> io::Result<Entries> {
    let file = BufReader::new(File::open(people)?);
    match embeddings {
        None => Ok(Box::new(json_lines(file))),
        Some(embeddings) => csv_with_npy(file, BufReader::new(File::open(embeddings)?)),
    }
}

/// The same of files that are in memory.
///
/// # Errors
/// As [`open`].
pub fn of_bytes(people: Vec<u8>, embeddings: Option<Vec<u8>>) -> io::Result<Entries> {
    match embeddings {
        None => Ok(Box::new(json_lines(Cursor::new(people)))),
        Some(embeddings) => csv_with_npy(Cursor::new(people), Cursor::new(embeddings)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonPerson {
    external_id: String,
    name: String,
    #[serde(default)]
    doors: String,
    policy_version: String,
    consented_at: String,
    embeddings: Vec<Vec<f32>>,
}

fn json_lines(file: impl BufRead + 'static) -> impl Iterator<Item = Result<Entry, BadLine>> {
    file.lines().zip(1_u64..).map(|(text, line)| {
        let bad = |why: String| BadLine { line, why };
        let text = text.map_err(|error| bad(error.to_string()))?;
        let person: JsonPerson = serde_json::from_str(&text)
            .map_err(|error| bad(format!("not such a person, at column {}", error.column())))?;
        let references = person
            .embeddings
            .iter()
            .map(|numbers| reference(numbers))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let person = NewPerson {
            external_id: person.external_id,
            name: person.name,
            doors: person.doors,
            policy_version: person.policy_version,
            consented_at: person.consented_at,
            references,
        };
        Ok(Entry { line, person })
    })
}

#[derive(Deserialize)]
struct CsvPerson {
    external_id: String,
    name: String,
    doors: String,
    policy_version: String,
    consented_at: String,
}

fn csv_with_npy(file: impl Read + 'static, embeddings: impl Read + 'static) -> io::Result<Entries> {
    let npy = npyz::NpyFile::new(embeddings)?;
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let &[_, dimension] = npy.shape() else {
        return Err(wrong("the .npy is not two-dimensional"));
    };
    if dimension != DIM as u64 || npy.order() != npyz::Order::C {
        return Err(wrong("the .npy is not rows x 512 in C order"));
    }
    let numbers = npy
        .data::<f32>()
        .map_err(|_| wrong("the .npy does not hold float32"))?;
    let rows = csv::Reader::from_reader(file).into_deserialize::<CsvPerson>();
    Ok(Box::new(CsvEntries {
        rows: rows.zip(2_u64..),
        numbers,
        next: None,
        ended: false,
    }))
}

struct CsvEntries<R: Iterator, N> {
    rows: R,
    numbers: N,
    next: Option<Entry>,
    ended: bool,
}

impl<R, N> CsvEntries<R, N>
where
    R: Iterator<Item = (csv::Result<CsvPerson>, u64)>,
    N: Iterator<Item = io::Result<f32>>,
{
    fn read_row(&mut self) -> Option<Result<Entry, BadLine>> {
        let (row, line) = self.rows.next()?;
        let bad = |why: String| BadLine { line, why };
        let numbers: Result<Vec<f32>, _> = self.numbers.by_ref().take(DIM).collect();
        Some((|| {
            let numbers = numbers.map_err(|error| bad(error.to_string()))?;
            let row = row.map_err(|_| bad("not the five columns of a person".to_owned()))?;
            let person = NewPerson {
                external_id: row.external_id,
                name: row.name,
                doors: row.doors,
                policy_version: row.policy_version,
                consented_at: row.consented_at,
                references: vec![reference(&numbers).map_err(bad)?],
            };
            Ok(Entry { line, person })
        })())
    }
}

impl<R, N> Iterator for CsvEntries<R, N>
where
    R: Iterator<Item = (csv::Result<CsvPerson>, u64)>,
    N: Iterator<Item = io::Result<f32>>,
{
    type Item = Result<Entry, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(row) = (if self.ended { None } else { self.read_row() }) else {
                if !self.ended {
                    self.ended = true;
                    if self.numbers.next().is_some() {
                        let why = "the .npy has more rows than the CSV".to_owned();
                        return Some(Err(BadLine { line: 0, why }));
                    }
                }
                return self.next.take().map(Ok);
            };
            let row = match row {
                Ok(row) => row,
                Err(bad) => return Some(Err(bad)),
            };
            match &mut self.next {
                Some(open)
                    if open.person.external_id == row.person.external_id
                        && open.person.references.len() < PERSON_REFERENCES_MAX =>
                {
                    open.person.references.extend(row.person.references);
                }
                next => {
                    if let Some(complete) = next.replace(row) {
                        return Some(Ok(complete));
                    }
                }
            }
        }
    }
}

/// Checks an embedding and writes it as the socket carries it.
fn reference(numbers: &[f32]) -> Result<String, String> {
    let embedding = Embedding::new(numbers).map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(embedding.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn unit(at: usize) -> Vec<f32> {
        (0..DIM).map(|i| if i == at { 1.0 } else { 0.0 }).collect()
    }

    fn npy(path: &Path, rows: &[Vec<f32>]) {
        let mut header = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {DIM}), }}",
            rows.len()
        );
        let padding = 64 - (10 + header.len() + 1) % 64;
        header.extend(std::iter::repeat_n(' ', padding));
        header.push('\n');
        let mut file = File::create(path).expect("created");
        file.write_all(b"\x93NUMPY\x01\x00").expect("written");
        file.write_all(&(header.len() as u16).to_le_bytes())
            .expect("written");
        file.write_all(header.as_bytes()).expect("written");
        for number in rows.iter().flatten() {
            file.write_all(&number.to_le_bytes()).expect("written");
        }
    }

    const HEAD: &str = "external_id,name,doors,policy_version,consented_at\n";

    fn read(csv: &str, rows: &[Vec<f32>]) -> Vec<Result<(u64, String, usize), u64>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (people, embeddings) = (folder.path().join("p.csv"), folder.path().join("p.npy"));
        std::fs::write(&people, csv).expect("written");
        npy(&embeddings, rows);
        open(&people, Some(&embeddings))
            .expect("opened")
            .map(|entry| match entry {
                Ok(entry) => {
                    let references = entry.person.references.len();
                    Ok((entry.line, entry.person.external_id, references))
                }
                Err(bad) => Err(bad.line),
            })
            .collect()
    }

    #[test]
    fn rows_of_one_person_become_their_references() {
        let csv = format!("{HEAD}a,A,*,1,t\na,A,*,1,t\nb,B,,1,t\n");
        let entries = read(&csv, &[unit(0), unit(1), unit(2)]);
        assert_eq!(
            entries,
            [Ok((2, "a".to_owned(), 2)), Ok((4, "b".to_owned(), 1))]
        );
    }

    #[test]
    fn a_bad_row_is_named_by_its_line_and_a_missing_one_too() {
        let csv = format!("{HEAD}a,A,*,1,t\nb,B,*,1,t\nc,C,*,1,t\n");
        let bad: Vec<_> = read(&csv, &[unit(0), vec![2.0; DIM]])
            .into_iter()
            .filter_map(Result::err)
            .collect();
        assert_eq!(bad, [3, 4]);
        let more = read(&format!("{HEAD}a,A,*,1,t\n"), &[unit(0), unit(1)]);
        assert!(more.contains(&Err(0)));
    }
}
