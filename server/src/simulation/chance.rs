//! Everything that is left to chance comes from the seed; and faces made of it.

use cardea_engine::synthetic::Stream;
use cardea_engine::{DIM, Embedding};

/// The seed's stream of numbers.
pub(super) struct Chance(Stream);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Stream::new(seed ^ 0xC0DE_5EED))
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number of `from..to`.
    pub(super) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// A request's name.
    pub(super) fn name(&mut self) -> [u8; 16] {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&self.0.bits().to_le_bytes());
        name[8..].copy_from_slice(&self.0.bits().to_le_bytes());
        name
    }

    /// A face like no other.
    pub(super) fn face(&mut self) -> Embedding {
        let numbers: Vec<f64> = (0..DIM).map(|_| self.component()).collect();
        unit(&numbers)
    }

    /// A face whose score with `other` is near `score`, as near as f32 allows.
    pub(super) fn face_like(&mut self, other: &Embedding, score: f64) -> Embedding {
        let other: Vec<f64> = other.as_slice().iter().copied().map(f64::from).collect();
        let mut aside: Vec<f64> = (0..DIM).map(|_| self.component()).collect();
        let along = dot(&aside, &other) / dot(&other, &other);
        aside
            .iter_mut()
            .zip(&other)
            .for_each(|(aside, other)| *aside -= along * other);
        let length = dot(&aside, &aside).sqrt();
        let share = (1.0 - score * score).max(0.0).sqrt() / length;
        let mixed = aside.iter().zip(&other);
        unit(
            &mixed
                .map(|(aside, other)| score * other + share * aside)
                .collect::<Vec<_>>(),
        )
    }

    fn component(&mut self) -> f64 {
        // The sum of four is near enough to a normal draw.
        (0..4)
            .map(|_| self.0.below(2_001) as f64 / 1_000.0 - 1.0)
            .sum()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(numbers: &[f64]) -> Embedding {
    let length = dot(numbers, numbers).sqrt();
    let numbers: Vec<f32> = numbers
        .iter()
        .map(|number| (number / length) as f32)
        .collect();
    Embedding::new(&numbers).expect("of unit length")
}
