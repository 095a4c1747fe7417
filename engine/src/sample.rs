//! References of a view as probes: a site's gallery searched by itself, to choose its threshold.

use crate::{Embedding, GalleryError, PersonId, Row, View};

impl View {
    /// Up to `count` references in force, spread evenly, each with its embedding: 2 KB a row.
    pub fn sample(&self, count: usize) -> Result<Vec<Row>, GalleryError> {
        let rows = self.rows().max(1);
        let mut sample = Vec::with_capacity(count.min(rows));
        let mut seen = 0;
        // Of `rows` rows, each where the share of `count` passes an integer.
        let mut wanted = || {
            seen += 1;
            seen * count / rows > (seen - 1) * count / rows || count >= rows
        };
        if let Some(snapshot) = self.snapshot() {
            for row in (0..snapshot.rows()).filter(|&row| !self.is_withdrawn(row)) {
                if wanted() {
                    sample.push(Row {
                        reference: snapshot.reference(row),
                        person: snapshot.person(row),
                        embedding: parsed(snapshot.embedding(row)?),
                    });
                }
            }
        }
        for block in 0..self.overlay().blocks() {
            let (block, withdrawn) = self.overlay().block(block);
            for row in (0..block.references.len()).filter(|row| withdrawn >> row & 1 == 0) {
                if wanted() {
                    sample.push(Row {
                        reference: block.references[row],
                        person: block.persons[row],
                        embedding: parsed(&block.embeddings[row]),
                    });
                }
            }
        }
        Ok(sample)
    }

    /// Persons with a reference in force. Takes 8 bytes a row meanwhile.
    pub fn persons(&self) -> usize {
        let snapshot = self.snapshot().into_iter().flat_map(|snapshot| {
            let rows = (0..snapshot.rows()).filter(|&row| !self.is_withdrawn(row));
            rows.map(|row| snapshot.person(row))
        });
        let overlay = (0..self.overlay().blocks()).flat_map(|block| {
            let (block, withdrawn) = self.overlay().block(block);
            let rows = (0..block.persons.len()).filter(move |row| withdrawn >> row & 1 == 0);
            rows.map(|row| block.persons[row])
        });
        let mut persons: Vec<PersonId> = snapshot.chain(overlay).collect();
        persons.sort_unstable();
        persons.dedup();
        persons.len()
    }
}

/// A stored embedding once more.
fn parsed(components: &[f32]) -> Embedding {
    // Stored embeddings were parsed before, which changes nothing the second time; what a foreign
    // hand wrote into a file with its checksums is a probe that finds nobody.
    Embedding::new(components).unwrap_or_else(|_| {
        let mut axis = [0.0; crate::DIM];
        axis[0] = 1.0;
        Embedding::new(&axis).expect("an axis has unit length")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, Synthetic};
    use crate::{ModelId, ReferenceId};

    /// Fails if `wanted` counts from one too many, or if withdrawn rows are not passed over.
    #[test]
    fn takes_as_many_as_asked_evenly_and_none_withdrawn() {
        let people = Synthetic::new(3, Shape::Realistic);
        let rows: Vec<Row> = (0..300)
            .map(|n| Row {
                person: PersonId(n / 2),
                ..people.row(n)
            })
            .collect();
        let view = View::empty(ModelId([0; 16]));
        let view = view.with_enrolled(&rows, 1).expect("in order");
        let gone: Vec<ReferenceId> = (0..100).map(ReferenceId).collect();
        let view = view.with_withdrawn(&gone, 2).expect("room");
        assert_eq!((view.rows(), view.persons()), (200, 100));
        for (asked, found) in [(0, 0), (1, 1), (7, 7), (199, 199), (200, 200), (1000, 200)] {
            let sample = view.sample(asked).expect("no file");
            assert_eq!(sample.len(), found);
            assert!(sample.iter().all(|row| row.reference.0 >= 100));
            assert!(
                sample
                    .iter()
                    .all(|row| rows[row.reference.0 as usize] == *row)
            );
        }
        let spread = view.sample(4).expect("no file");
        let ids: Vec<u64> = spread.iter().map(|row| row.reference.0).collect();
        assert_eq!(ids, [149, 199, 249, 299]);
    }
}
