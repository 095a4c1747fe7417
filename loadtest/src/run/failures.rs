//! The first few different failures of a run, in words.

use crate::client::Failure;
use crate::limits::FAILURE_TEXTS_MAX;

/// Failure texts with their numbers. Past the bound new texts are not kept: their samples count
/// them by stage all the same.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(String, u64)>);

impl Failures {
    pub(super) fn note(&mut self, failure: &Failure) {
        let text = failure.to_string();
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == text) {
            *count += 1;
        } else if self.0.len() < FAILURE_TEXTS_MAX {
            self.0.push((text, 1));
        }
    }

    pub(super) fn into_counts(self) -> Vec<(String, u64)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Stage;

    #[test]
    fn texts_are_counted_and_bounded() {
        let mut failures = Failures::default();
        for number in 0..2 * FAILURE_TEXTS_MAX {
            failures.note(&Failure::new(Stage::Connect, number));
            failures.note(&Failure::new(Stage::Connect, 0));
        }
        let counts = failures.into_counts();
        assert_eq!(counts.len(), FAILURE_TEXTS_MAX);
        let of_first = 2 * FAILURE_TEXTS_MAX as u64 + 1;
        assert_eq!(counts[0], ("connect: 0".to_owned(), of_first));
        assert_eq!(counts[1], ("connect: 1".to_owned(), 1));
    }
}
