//! The forms in which an embedding may lie in a file, to be looked for when it should be gone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::face::{Face, numbers};
use crate::gallery::sections;

/// Bytes of one piece that is looked for.
const PIECE: usize = 16;
/// Lines of a gallery's plane are so long, and hold four bytes of each row (`engine/FORMAT.md`).
const LINE: usize = 64;
const LINE_ROW: usize = 4;
/// A turned component is the same if it is so near.
const NEAR: f32 = 1e-4;
/// Components of a turned embedding that are looked for together.
const TURNED: usize = 6;

/// What an embedding looks like wherever it is kept.
pub struct Forms {
    /// Pieces of bytes, with the name of the form they are of.
    pieces: Vec<(&'static str, Vec<u8>)>,
    /// The plane's words, as they follow each other from line to line.
    plane: Vec<[u8; LINE_ROW]>,
    /// Components after the gallery's rotation, four bytes each.
    turned: Vec<f32>,
    /// Whether a piece begins with these two bytes.
    begins: Vec<bool>,
}

/// The gallery's plane, line by line.
pub const PLANE: &str = "plane of a gallery";
/// The embedding as the gallery's rotation has turned it.
pub const ROTATED: &str = "rotated f32";

/// The names of all forms.
pub const NAMES: [&str; 9] = [
    "f32",
    "int8",
    "upper halves of int8",
    "lower halves of int8",
    "plane, without its lines",
    "base64",
    "hexadecimal",
    PLANE,
    ROTATED,
];

impl Forms {
    /// The forms of a face that is in this gallery file, which must have a plane.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn of(face: &Face, gallery: &[u8]) -> Self {
        let sections = sections(gallery);
        let section = |name: &str| {
            let found = sections.iter().find(|section| section.name == name);
            let found = found.expect("the gallery has all sections");
            &gallery[found.offset..][..found.length]
        };
        let rows = section("f32r").chunks_exact(face.len());
        let row = rows.clone().position(|row| row == face);
        let row = row.expect("the face is in the gallery");
        let codes = &section("i8cd")[row * 512..][..512];
        let plane = section("plne");
        let block = plane.len() / rows.len().div_ceil(16);
        let plane: Vec<[u8; LINE_ROW]> = plane[row / 16 * block..][..block]
            .chunks_exact(LINE)
            .map(|line| line[row % 16 * LINE_ROW..][..LINE_ROW].try_into())
            .collect::<Result<_, _>>()
            .expect("four bytes each");
        let half = |of: fn(u8) -> u8| -> Vec<u8> {
            let pairs = codes.chunks_exact(2);
            pairs.map(|pair| of(pair[0]) | of(pair[1]) << 4).collect()
        };
        let hex: String = face.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = Self {
            pieces: Vec::new(),
            turned: turned(section("rota"), face),
            begins: vec![false; 1 << 16],
            plane,
        };
        let plain = forms.plane.as_flattened().to_vec();
        forms.add(NAMES[0], face);
        forms.add(NAMES[1], codes);
        forms.add(NAMES[2], &half(|code| code >> 4));
        forms.add(NAMES[3], &half(|code| code & 15));
        forms.add(NAMES[4], &plain);
        // However many bytes stand before it.
        for shift in 0..3 {
            forms.add(NAMES[5], STANDARD.encode(&face[shift..]).as_bytes());
        }
        forms.add(NAMES[6], hex.as_bytes());
        forms
    }

    /// Eight pieces from the beginning to the end.
    fn add(&mut self, name: &'static str, bytes: &[u8]) {
        for eighth in 0..8 {
            let at = (bytes.len() - PIECE) * eighth / 7;
            // Base64 means the same only from every fourth letter on.
            let piece = &bytes[at / 4 * 4..][..PIECE];
            let begin = u16::from_le_bytes([piece[0], piece[1]]);
            self.begins[usize::from(begin)] = true;
            self.pieces.push((name, piece.to_vec()));
        }
    }

    /// The forms of which a piece lies in these bytes.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for (at, start) in bytes.windows(4).enumerate() {
            if start == [0; 4] {
                continue;
            }
            let rest = &bytes[at..];
            if self.begins[usize::from(u16::from_le_bytes([start[0], start[1]]))] {
                let pieces = self.pieces.iter();
                let here = pieces.filter(|(_, piece)| rest.starts_with(piece));
                found.extend(here.map(|(name, _)| *name));
            }
            if self.plane_at(rest) {
                found.push(PLANE);
            }
            if self.turned_at(rest) {
                found.push(ROTATED);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether four words of the plane begin here, a line apart.
    fn plane_at(&self, bytes: &[u8]) -> bool {
        let word = |line: usize| bytes.get(line * LINE..line * LINE + LINE_ROW);
        let at = [0, self.plane.len() / 2, self.plane.len() - 4];
        at.iter().any(|first| {
            let words = self.plane[*first..][..4].iter().enumerate();
            words
                .into_iter()
                .all(|(line, own)| word(line) == Some(&own[..]))
        })
    }

    fn turned_at(&self, bytes: &[u8]) -> bool {
        let Some(bytes) = bytes.get(..TURNED * 4) else {
            return false;
        };
        let near = |own: &f32, at: usize| {
            let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            (f32::from_le_bytes(bytes) - own).abs() < NEAR
        };
        [0, 100, self.turned.len() - TURNED].iter().any(|first| {
            let own = self.turned[*first..][..TURNED].iter().enumerate();
            own.into_iter().all(|(place, own)| near(own, place * 4))
        })
    }
}

/// A face turned by a rotation: its rows are the axes.
fn turned(rotation: &[u8], face: &Face) -> Vec<f32> {
    let face = numbers(face);
    let axes = rotation.chunks_exact(face.len() * 4);
    axes.map(|axis| {
        let axis = axis.as_chunks::<4>().0.iter();
        let products = axis.zip(&face).map(|(a, x)| f32::from_le_bytes(*a) * x);
        products.sum()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use cardea_engine::gallery::Writer;
    use cardea_engine::{Embedding, ModelId, PersonId, ReferenceId, Row};

    use super::*;
    use crate::face::face;

    /// Each form is seen where it is, and nothing where nothing is. Fails if one of the searches
    /// above looks at other bytes than those it is to find.
    #[test]
    fn every_form_is_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("gallery");
        let mut writer = Writer::create(&path, ModelId([1; 16]), 1, 1_100).expect("a new file");
        for person in 0..1_100 {
            let embedding = Embedding::from_le_bytes(&face(person)).expect("of unit length");
            let row = Row {
                reference: ReferenceId(person),
                person: PersonId(person),
                embedding,
            };
            writer.push(&row).expect("room for it");
        }
        writer.finish().expect("written");
        let gallery = std::fs::read(&path).expect("read");
        let stored = Embedding::from_le_bytes(&face(77)).expect("of unit length");
        let forms = Forms::of(&stored.to_le_bytes(), &gallery);
        assert_eq!(forms.found_in(&gallery), ["f32", "int8", PLANE]);
        let mut planted = vec![7; 1_001];
        for (_, piece) in &forms.pieces {
            planted.extend_from_slice(piece);
        }
        planted.extend(forms.turned.iter().flat_map(|number| number.to_le_bytes()));
        for word in &forms.plane {
            planted.extend_from_slice(word);
            planted.extend([7; LINE - LINE_ROW]);
        }
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(forms.found_in(&planted), names);
        let other = Forms::of(
            &Embedding::from_le_bytes(&face(78))
                .expect("unit")
                .to_le_bytes(),
            &gallery,
        );
        assert_eq!(other.found_in(&planted), Vec::<&str>::new());
    }
}
