//! What a search sees: snapshot, overlay, withdrawals and generation, immutable.
//!
//! One writer thread makes each view from the one before and publishes it; readers hold theirs as
//! long as they need. Everything large is shared: at 1,000,000 rows an edit costs well under 1 ms.

use crate::gallery::Gallery;
use crate::gallery::overlay::Overlay;
use crate::limits::{OVERLAY_ROWS_MAX, WITHDRAWALS_MAX};
use crate::{ModelId, ReferenceId, Row};
use std::fmt;
use std::sync::Arc;

/// Rows of the snapshot that share one page of withdrawal marks.
const PAGE_ROWS: usize = 4096;
/// Withdrawals in one shared part of the log.
const LOG_PART: usize = 256;

/// An immutable state of the gallery. Cloning shares.
#[derive(Clone)]
pub struct View {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    model: ModelId,
    generation: u64,
    snapshot: Option<Arc<Gallery>>,
    overlay: Overlay,
    tombstones: Tombstones,
    withdrawals: Withdrawals,
    rows: usize,
}

/// Marks of withdrawn snapshot rows, one bit a row, in pages that views share.
#[derive(Clone, Default)]
pub(crate) struct Tombstones {
    pages: Vec<Option<Arc<[u64; PAGE_ROWS / 64]>>>,
    marked: usize,
}

/// Withdrawals since the snapshot with their generations, in parts that views share.
#[derive(Clone, Default)]
struct Withdrawals {
    parts: Vec<Arc<Vec<(u64, ReferenceId)>>>,
    total: usize,
}

/// Why a view cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewError {
    /// The overlay would hold more than [`OVERLAY_ROWS_MAX`] rows: write a snapshot first.
    OverlayFull {
        /// Rows it would hold.
        rows: usize,
    },
    /// More than [`WITHDRAWALS_MAX`] withdrawals since the snapshot: write a snapshot first.
    WithdrawalsFull {
        /// Withdrawals there would be.
        withdrawals: usize,
    },
    /// A reference id that does not rise above all ids before.
    ReferenceOrder {
        /// The id before.
        last: ReferenceId,
        /// The id that came.
        found: ReferenceId,
    },
    /// A generation below that of the view.
    GenerationOrder {
        /// The view's.
        view: u64,
        /// The one that came.
        found: u64,
    },
    /// A snapshot of another model.
    Model {
        /// The view's.
        view: ModelId,
        /// The snapshot's.
        found: ModelId,
    },
    /// A snapshot that is older than the one in use.
    SnapshotOrder {
        /// Generation of the one in use.
        current: u64,
        /// Generation of the one that came.
        found: u64,
    },
}

impl View {
    /// A view of nothing.
    pub fn empty(model: ModelId) -> Self {
        let inner = Inner {
            model,
            generation: 0,
            snapshot: None,
            overlay: Overlay::default(),
            tombstones: Tombstones::default(),
            withdrawals: Withdrawals::default(),
            rows: 0,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A view of a snapshot alone, at its generation.
    pub fn of_snapshot(snapshot: Arc<Gallery>) -> Self {
        let mut inner = Self::empty(snapshot.model()).inner.as_ref().clone();
        inner.generation = snapshot.generation();
        inner.rows = snapshot.rows();
        inner.snapshot = Some(snapshot);
        Self {
            inner: Arc::new(inner),
        }
    }

    /// This view and further references, whose ids rise above all before.
    pub fn with_enrolled(&self, rows: &[Row], generation: u64) -> Result<Self, ViewError> {
        self.check_generation(generation)?;
        let mut last = self.last_reference();
        for row in rows {
            if let Some(last) = last.filter(|&last| last >= row.reference) {
                return Err(ViewError::ReferenceOrder {
                    last,
                    found: row.reference,
                });
            }
            last = Some(row.reference);
        }
        check_overlay(self.inner.overlay.rows() + rows.len())?;
        let mut inner = self.inner.as_ref().clone();
        inner.overlay.enrol(rows, generation);
        inner.rows += rows.len();
        inner.generation = generation;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// This view without some references. Ids that are not in it are remembered too, in case a
    /// snapshot under way still has them.
    pub fn with_withdrawn(
        &self,
        references: &[ReferenceId],
        generation: u64,
    ) -> Result<Self, ViewError> {
        self.check_generation(generation)?;
        check_withdrawals(self.inner.withdrawals.total + references.len())?;
        let mut inner = self.inner.as_ref().clone();
        inner.generation = generation;
        for &reference in references {
            inner.withdrawals.push(generation, reference);
            inner.withdraw(reference, generation);
        }
        inner.count();
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// This view on a newer snapshot: what was enrolled or withdrawn up to the snapshot's
    /// generation is in the snapshot; what came later is kept. Copies the later rows.
    pub fn with_snapshot(&self, snapshot: Arc<Gallery>) -> Result<Self, ViewError> {
        if snapshot.model() != self.inner.model {
            return Err(ViewError::Model {
                view: self.inner.model,
                found: snapshot.model(),
            });
        }
        let current = self
            .inner
            .snapshot
            .as_ref()
            .map_or(0, |current| current.generation());
        if snapshot.generation() < current {
            let found = snapshot.generation();
            return Err(ViewError::SnapshotOrder { current, found });
        }
        let taken = snapshot.generation();
        let mut inner = Inner {
            model: self.inner.model,
            generation: self.inner.generation.max(taken),
            overlay: self.inner.overlay.after(taken),
            snapshot: Some(snapshot),
            tombstones: Tombstones::default(),
            withdrawals: Withdrawals::default(),
            rows: 0,
        };
        for (generation, reference) in self.inner.withdrawals.after(taken) {
            inner.withdrawals.push(generation, reference);
            inner.withdraw(reference, generation);
        }
        inner.count();
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The model whose embeddings are here; a probe of another must be refused.
    pub fn model(&self) -> ModelId {
        self.inner.model
    }

    /// The number that names this state.
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// References that a search finds.
    pub fn rows(&self) -> usize {
        self.inner.rows
    }

    /// References in the overlay, withdrawn ones included: when to write a snapshot.
    pub fn overlay_rows(&self) -> usize {
        self.inner.overlay.rows()
    }

    /// Withdrawals since the snapshot.
    pub fn withdrawals(&self) -> usize {
        self.inner.withdrawals.total
    }

    /// The snapshot.
    pub fn snapshot(&self) -> Option<&Arc<Gallery>> {
        self.inner.snapshot.as_ref()
    }

    /// The highest reference id.
    pub fn last_reference(&self) -> Option<ReferenceId> {
        let snapshot = self
            .inner
            .snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.last());
        self.inner.overlay.last().max(snapshot)
    }

    pub(crate) fn overlay(&self) -> &Overlay {
        &self.inner.overlay
    }

    /// True if a row of the snapshot is withdrawn.
    pub(crate) fn is_withdrawn(&self, snapshot_row: usize) -> bool {
        self.inner.tombstones.is_marked(snapshot_row)
    }

    fn check_generation(&self, found: u64) -> Result<(), ViewError> {
        let view = self.inner.generation;
        if found < view {
            Err(ViewError::GenerationOrder { view, found })
        } else {
            Ok(())
        }
    }
}

impl Inner {
    fn withdraw(&mut self, reference: ReferenceId, generation: u64) {
        if self.overlay.withdraw(reference, generation) {
            return;
        }
        if let Some(row) = self
            .snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.find(reference))
        {
            self.tombstones.mark(row);
        }
    }

    fn count(&mut self) {
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.rows());
        let overlay: usize = (0..self.overlay.blocks())
            .map(|block| {
                let (block, withdrawn) = self.overlay.block(block);
                block.references.len() - withdrawn.count_ones() as usize
            })
            .sum();
        self.rows = snapshot - self.tombstones.marked + overlay;
    }
}

impl Tombstones {
    fn mark(&mut self, row: usize) {
        let page = row / PAGE_ROWS;
        if self.pages.len() <= page {
            self.pages.resize(page + 1, None);
        }
        let page = self.pages[page].get_or_insert_with(|| Arc::new([0; PAGE_ROWS / 64]));
        let word = &mut Arc::make_mut(page)[row % PAGE_ROWS / 64];
        let bit = 1 << (row % 64);
        self.marked += usize::from(*word & bit == 0);
        *word |= bit;
    }

    fn is_marked(&self, row: usize) -> bool {
        let page = self.pages.get(row / PAGE_ROWS).and_then(Option::as_ref);
        page.is_some_and(|page| page[row % PAGE_ROWS / 64] >> (row % 64) & 1 == 1)
    }
}

impl Withdrawals {
    fn push(&mut self, generation: u64, reference: ReferenceId) {
        if self.total.is_multiple_of(LOG_PART) {
            self.parts.push(Arc::new(Vec::new()));
        }
        if let Some(last) = self.parts.last_mut() {
            Arc::make_mut(last).push((generation, reference));
        }
        self.total += 1;
    }

    fn after(&self, taken: u64) -> impl Iterator<Item = (u64, ReferenceId)> {
        let all = self.parts.iter().flat_map(|part| part.iter().copied());
        all.filter(move |&(generation, _)| generation > taken)
    }
}

fn check_overlay(rows: usize) -> Result<(), ViewError> {
    if rows > OVERLAY_ROWS_MAX {
        Err(ViewError::OverlayFull { rows })
    } else {
        Ok(())
    }
}

fn check_withdrawals(withdrawals: usize) -> Result<(), ViewError> {
    if withdrawals > WITHDRAWALS_MAX {
        return Err(ViewError::WithdrawalsFull { withdrawals });
    }
    Ok(())
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("generation", &self.generation())
            .field("rows", &self.rows())
            .field("overlay_rows", &self.overlay_rows())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverlayFull { rows } => {
                write!(
                    f,
                    "{rows} references since the snapshot, at most {OVERLAY_ROWS_MAX}"
                )
            }
            Self::WithdrawalsFull { withdrawals } => {
                write!(
                    f,
                    "{withdrawals} withdrawals since the snapshot, at most {WITHDRAWALS_MAX}"
                )
            }
            Self::ReferenceOrder { last, found } => {
                write!(f, "reference {} does not follow {}", found.0, last.0)
            }
            Self::GenerationOrder { view, found } => {
                write!(f, "generation {found} does not follow {view}")
            }
            Self::Model { .. } => f.write_str("the snapshot belongs to another face model"),
            Self::SnapshotOrder { current, found } => {
                write!(
                    f,
                    "snapshot of generation {found} does not follow {current}"
                )
            }
        }
    }
}

impl std::error::Error for ViewError {}

#[cfg(test)]
mod tests;
