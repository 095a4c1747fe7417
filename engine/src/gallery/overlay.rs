//! What changed since the snapshot: enrolled rows in blocks that views share, and withdrawals.
//!
//! A new view shares every full block with the one before; enrolling copies the last block only
//! (at most [`BLOCK_ROWS`] rows, 330 KB), withdrawing copies marks of 512 bytes.

use crate::int8::{Int8Norm, Int8Rows, quantise};
use crate::{DIM, PersonId, ReferenceId, Row};
use std::sync::Arc;

/// Rows of one block.
pub(crate) const BLOCK_ROWS: usize = 128;

/// Rows enrolled since the snapshot, by rising reference id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    blocks: Vec<Arc<Block>>,
    /// Withdrawn rows of each block, one bit a row.
    withdrawn: Vec<u128>,
    rows: usize,
}

/// At most [`BLOCK_ROWS`] rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) references: Vec<ReferenceId>,
    pub(crate) persons: Vec<PersonId>,
    generations: Vec<u64>,
    codes: Vec<[i8; DIM]>,
    norms: Vec<Int8Norm>,
    pub(crate) embeddings: Vec<[f32; DIM]>,
}

const _: () = assert!(BLOCK_ROWS == u128::BITS as usize);

impl Overlay {
    /// Rows, withdrawn ones included.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The highest reference id.
    pub(crate) fn last(&self) -> Option<ReferenceId> {
        self.blocks
            .last()
            .and_then(|block| block.references.last())
            .copied()
    }

    /// Blocks with their marks of withdrawn rows.
    pub(crate) fn block(&self, block: usize) -> (&Block, u128) {
        (&self.blocks[block], self.withdrawn[block])
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Appends rows; their ids rise, above all ids here.
    pub(crate) fn enrol(&mut self, rows: &[Row], generation: u64) {
        for row in rows {
            let (codes, norm) = quantise(row.embedding.as_array());
            let block = self.open_block();
            block.references.push(row.reference);
            block.persons.push(row.person);
            block.generations.push(generation);
            block.codes.push(codes);
            block.norms.push(norm);
            block.embeddings.push(*row.embedding.as_array());
            self.rows += 1;
        }
    }

    /// Marks a row that was here at `generation`; false if it was not.
    pub(crate) fn withdraw(&mut self, reference: ReferenceId, generation: u64) -> bool {
        let after = self
            .blocks
            .partition_point(|block| block.references[0] <= reference);
        let Some(at) = after.checked_sub(1) else {
            return false;
        };
        match self.blocks[at].references.binary_search(&reference) {
            Ok(row) if self.blocks[at].generations[row] <= generation => {
                self.withdrawn[at] |= 1 << row;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// The rows enrolled after `generation` that are not withdrawn, as a new overlay.
    pub(crate) fn after(&self, generation: u64) -> Self {
        let mut kept = Self::default();
        for (block, &withdrawn) in self.blocks.iter().zip(&self.withdrawn) {
            for row in 0..block.references.len() {
                if block.generations[row] > generation && withdrawn >> row & 1 == 0 {
                    kept.copy(block, row);
                }
            }
        }
        kept
    }

    fn copy(&mut self, from: &Block, row: usize) {
        let block = self.open_block();
        block.references.push(from.references[row]);
        block.persons.push(from.persons[row]);
        block.generations.push(from.generations[row]);
        block.codes.push(from.codes[row]);
        block.norms.push(from.norms[row]);
        block.embeddings.push(from.embeddings[row]);
        self.rows += 1;
    }

    /// The last block, if necessary a new or a copied one.
    fn open_block(&mut self) -> &mut Block {
        if self.rows == self.blocks.len() * BLOCK_ROWS {
            self.blocks.push(Arc::new(Block::default()));
            self.withdrawn.push(0);
        }
        let last = self
            .blocks
            .last_mut()
            .expect("one was pushed if there was none");
        Arc::make_mut(last)
    }
}

impl Block {
    pub(crate) fn int8(&self) -> Int8Rows<'_> {
        Int8Rows {
            codes: &self.codes,
            norms: &self.norms,
        }
    }
}
