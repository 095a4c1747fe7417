//! Names of things: models, references, persons; and the row that ties them together.

use crate::Embedding;

/// The face model (and its preprocessing) that made an embedding. Scores between two models mean
/// nothing, so a gallery and its probes share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelId(pub [u8; 16]);

/// One stored reference. Given out by the store in rising order, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferenceId(pub u64);

/// One enrolled person, who has 1 to 16 references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub u64);

/// One reference as it enters a gallery or an overlay.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which reference.
    pub reference: ReferenceId,
    /// Whose.
    pub person: PersonId,
    /// The embedding itself.
    pub embedding: Embedding,
}
