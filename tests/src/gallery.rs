//! The sections of a gallery's file, read as `engine/FORMAT.md` has them.

/// One section.
pub struct Section {
    /// Its four letters.
    pub name: String,
    /// Where it begins.
    pub offset: usize,
    /// How many bytes it has.
    pub length: usize,
    /// Where its checksums begin.
    pub sums: usize,
}

/// All sections of a gallery's file.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn sections(gallery: &[u8]) -> Vec<Section> {
    let number = |at: usize| {
        let bytes = gallery[at..at + 8].try_into().map(u64::from_le_bytes);
        usize::try_from(bytes.expect("8 bytes")).expect("a small file")
    };
    let entries = (64..4_000).step_by(64).take_while(|at| gallery[*at] != 0);
    entries
        .map(|at| Section {
            name: String::from_utf8_lossy(&gallery[at..at + 4]).into_owned(),
            offset: number(at + 8),
            length: number(at + 16),
            sums: number(at + 24),
        })
        .collect()
}
