//! Buffers that short bodies of requests and answers use one after the other, so that no memory is
//! asked for while devices come and go.

use crate::limits::{SPARE_BODIES_MAX, SPARE_BODY_BYTES_MAX};

/// The buffers of a loop that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// An empty buffer.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps a buffer for others, unless it is large or there are enough.
    pub(super) fn keep(&mut self, mut body: Vec<u8>) {
        let is_useful = (1..=SPARE_BODY_BYTES_MAX).contains(&body.capacity());
        if is_useful && self.0.len() < SPARE_BODIES_MAX {
            body.clear();
            self.0.push(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if `keep` takes what is large, or more than it may.
    #[test]
    fn few_and_small_buffers_are_kept() {
        let mut spare = Spare::default();
        spare.keep(Vec::with_capacity(SPARE_BODY_BYTES_MAX + 1));
        spare.keep(Vec::new());
        assert_eq!(spare.take().capacity(), 0);
        spare.keep(vec![7; SPARE_BODY_BYTES_MAX]);
        let again = spare.take();
        assert!(again.is_empty() && again.capacity() == SPARE_BODY_BYTES_MAX);
        (0..2 * SPARE_BODIES_MAX).for_each(|_| spare.keep(vec![7]));
        assert_eq!(spare.0.len(), SPARE_BODIES_MAX);
    }
}
