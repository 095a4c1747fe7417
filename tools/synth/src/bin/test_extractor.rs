//! An extractor for tests: embeddings that follow from a photo's bytes, and from nothing in the
//! picture. It speaks the protocol of `server/console/EXTRACTOR.md`.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

const HEAD_BYTES: usize = 24;
const PHOTO_BYTES_MAX: usize = 64 << 20;
/// A photo that holds these words is said to show two faces.
const TWO_FACES: &[u8] = b"two faces";
/// Fewer bytes make a poor photo.
const POOR_BYTES: usize = 64;

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test extractor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut head = [0; HEAD_BYTES];
    input.read_exact(&mut head)?;
    let (magic, rest) = head.split_at(4);
    let (length, model) = rest.split_at(4);
    let length = length
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if magic != b"CXQ1" || length > PHOTO_BYTES_MAX {
        return Err(io::Error::other("not a request"));
    }
    let mut photo = vec![0; length];
    input.read_exact(&mut photo)?;
    let mut output = io::stdout().lock();
    let status = status(&photo);
    let count = u8::from(status == 0);
    output.write_all(b"CXA1")?;
    output.write_all(&[status, count, 0, 0])?;
    output.write_all(model)?;
    if status == 0 {
        output.write_all(&embedding(&photo))?;
    }
    output.flush()
}

/// 0 an embedding follows, 1 not one face, 2 poor, 3 not a photo.
fn status(photo: &[u8]) -> u8 {
    let is_photo = photo.starts_with(b"\xff\xd8\xff") || photo.starts_with(b"\x89PNG");
    if !is_photo {
        3
    } else if photo.len() < POOR_BYTES {
        2
    } else {
        u8::from(
            photo
                .windows(TWO_FACES.len())
                .any(|window| window == TWO_FACES),
        )
    }
}

/// 512 little-endian f32 of unit length, from the photo's hash.
fn embedding(photo: &[u8]) -> Vec<u8> {
    let mut bytes = [0; 1_024];
    let mut hasher = blake3::Hasher::new();
    hasher.update(photo).finalize_xof().fill(&mut bytes);
    let (pairs, _) = bytes.as_chunks::<2>();
    let numbers = pairs
        .iter()
        .map(|pair| f64::from(i16::from_le_bytes(*pair)));
    let norm = numbers
        .clone()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt();
    numbers
        .flat_map(|number| ((number / norm) as f32).to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_follows_from_the_bytes() {
        let jpeg = [b"\xff\xd8\xff".as_slice(), &[7; 100]].concat();
        assert_eq!(status(&jpeg), 0);
        assert_eq!(status(&jpeg[..POOR_BYTES - 1]), 2);
        assert_eq!(status(b"GIF89a"), 3);
        assert_eq!(status(&[&jpeg[..], TWO_FACES].concat()), 1);
        let (numbers, _) = embedding(&jpeg)
            .as_chunks::<4>()
            .0
            .iter()
            .fold((0.0, 0), |(sum, count), bytes| {
                (sum + f32::from_le_bytes(*bytes).powi(2), count + 1)
            });
        assert!((numbers - 1.0).abs() < 1e-4);
        assert_eq!(embedding(&jpeg), embedding(&jpeg));
    }
}
