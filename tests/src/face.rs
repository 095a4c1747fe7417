//! Embeddings of people who do not exist: random directions, so that two of them have a score of
//! 0 within 0.044, nine times less than the threshold of these tests.

use cardea_wire::limits::EMBEDDING_F32_BYTES;

/// An embedding as it goes over the wire.
pub type Face = [u8; EMBEDDING_F32_BYTES];

/// The face of a number; the same number gives the same face.
#[must_use]
pub fn face(number: u64) -> Face {
    to_bytes(&components(number))
}

/// A face as like `face(number)` as the score says.
#[must_use]
pub fn like(number: u64, score: f64) -> Face {
    let (one, other) = (components(number), components(!number));
    let share = (1.0 - score * score).sqrt();
    to_bytes(&normal(
        one.iter()
            .zip(&other)
            .map(|(a, b)| a * score + b * share)
            .collect(),
    ))
}

/// Its numbers, for files of people.
#[must_use]
pub fn numbers(face: &Face) -> Vec<f32> {
    let (numbers, _) = face.as_chunks::<4>();
    numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

fn components(number: u64) -> Vec<f64> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    // A sum of four is round enough.
    normal((0..512).map(|_| (0..4).map(|_| uniform()).sum()).collect())
}

fn normal(numbers: Vec<f64>) -> Vec<f64> {
    let norm = numbers
        .iter()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt();
    numbers.iter().map(|number| number / norm).collect()
}

fn to_bytes(numbers: &[f64]) -> Face {
    let mut face = [0; EMBEDDING_F32_BYTES];
    for (bytes, number) in face.chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&(*number as f32).to_le_bytes());
    }
    face
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(one: &Face, other: &Face) -> f32 {
        numbers(one)
            .iter()
            .zip(numbers(other))
            .map(|(a, b)| a * b)
            .sum()
    }

    #[test]
    fn faces_are_of_unit_length_and_unlike_each_other() {
        for number in 0..20 {
            assert!((score(&face(number), &face(number)) - 1.0).abs() < 1e-5);
            assert!(score(&face(number), &face(number + 1)).abs() < 0.25);
            assert!((score(&face(number), &like(number, 0.8)) - 0.8).abs() < 0.2);
        }
    }
}
