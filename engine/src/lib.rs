//! What matching means in Cardea: exact 1:N search for the people whose references score at or
//! above a threshold.
//!
//! No network, no database, no clock, no randomness: files, bytes and numbers are arguments.
//! Start with [`View`] (what a search sees), [`Searcher`] (how it looks), [`gallery`] (the file)
//! and [`oracle`] (the same answer by the plainest way).

#[doc(hidden)]
pub mod bench;
mod bound;
pub mod calibration;
mod candidate;
mod disk;
mod embedding;
pub mod erase;
pub mod gallery;
mod identity;
mod int8;
mod kernel;
pub mod limits;
pub mod oracle;
mod passes;
mod plane;
mod planner;
mod pool;
mod rotation;
mod sample;
mod score;
mod search;
pub mod synthetic;
mod threshold;
mod view;

pub use candidate::{Candidate, CandidateList};
pub use embedding::{DIM, Embedding, EmbeddingError};
pub use gallery::{Gallery, GalleryError};
pub use identity::{ModelId, PersonId, ReferenceId, Row};
pub use kernel::{Kernel, KernelError};
pub use score::score;
pub use search::{SearchError, Searcher};
pub use threshold::{Threshold, ThresholdError};
pub use view::{View, ViewError};
