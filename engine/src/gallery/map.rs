//! A gallery file, mapped and checked.

use super::format::{HEADER_LEN, Header, Section, block_checksum, sums_checksum};
use super::plane::Planes;
use super::sections::{self, CODES, EMBEDDINGS, NORMS, PERSONS, REFERENCES};
use super::sigbus::Registration;
use super::{GalleryError, SectionName};
use crate::int8::{Int8Norm, Int8Rows};
use crate::limits::RECHECK_BLOCKS;
use crate::planner::Prediction;
use crate::{DIM, ModelId, PersonId, ReferenceId, Threshold};
use bytemuck::Pod;
use memmap2::Mmap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A snapshot: what [`Gallery::open`] checked, mapped read-only.
///
/// Codes, ids and norms are checked when opened, which also brings them into memory. The
/// embeddings, four fifths of the file, are checked block by block when first scored.
pub struct Gallery {
    path: PathBuf,
    // Declared before the map: the handler forgets the range before it goes.
    _registration: Registration,
    map: Mmap,
    header: Header,
    references: Section,
    persons: Section,
    codes: Section,
    norms: Section,
    planes: Option<Planes>,
    embeddings: Section,
    /// Blocks of `embeddings` found good, one bit each.
    embeddings_checked: Vec<AtomicU64>,
    /// [`Self::recheck`] met what it had found good before.
    changed: AtomicBool,
}

/// The sections of a mapped file whose header was parsed.
pub(super) struct Sections<'a> {
    map: &'a [u8],
    header: &'a Header,
}

impl Gallery {
    /// Opens, maps and checks a gallery file.
    ///
    /// The file must not be changed or cut while the gallery lives: Cardea never does so to its
    /// own, and a foreign hand is caught by the SIGBUS handler (cut) or by [`Self::recheck`]
    /// (changed), when its turn comes.
    pub fn open(path: &Path) -> Result<Self, GalleryError> {
        let io = |action| move |source| GalleryError::Io { action, source };
        let file = File::open(path).map_err(io("open"))?;
        let found = file.metadata().map_err(io("open"))?.len();
        if found < HEADER_LEN as u64 {
            return Err(GalleryError::TooShort { found });
        }
        let map = map(&file).map_err(io("map"))?;
        let registration = Registration::new(&map);
        let header = Header::parse(
            map.first_chunk().ok_or(GalleryError::TooShort { found })?,
            found,
        )?;
        let sections = Sections {
            map: &map,
            header: &header,
        };
        let embeddings = sections.of_rows(EMBEDDINGS, DIM * 4)?;
        let gallery = Self {
            path: path.to_owned(),
            references: sections.of_rows(REFERENCES, 8)?,
            persons: sections.of_rows(PERSONS, 8)?,
            codes: sections.of_rows(CODES, DIM)?,
            norms: sections.of_rows(NORMS, size_of::<Int8Norm>())?,
            planes: Planes::read(&sections)?,
            embeddings,
            embeddings_checked: (0..embeddings.blocks().div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            changed: AtomicBool::new(false),
            header,
            _registration: registration,
            map,
        };
        gallery.check()?;
        Ok(gallery)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.header.rows as usize
    }

    /// The generation whose state the file holds.
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// The face model.
    pub fn model(&self) -> ModelId {
        self.header.model
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file, all of them mapped.
    pub fn mapped_bytes(&self) -> u64 {
        self.header.file_len
    }

    /// Bytes of the file that were brought into memory and should stay there: ids, codes, norms.
    pub fn scanned_bytes(&self) -> u64 {
        [self.references, self.persons, self.codes, self.norms]
            .map(|s| s.length)
            .iter()
            .sum()
    }

    /// Bytes of memory beside the map: the planes that the first pass reads.
    pub fn plane_bytes(&self) -> u64 {
        self.planes.as_ref().map_or(0, Planes::bytes)
    }

    /// What the planner expects of a search at this threshold; none if the gallery is too small
    /// to have planes.
    pub fn prediction(&self, threshold: Threshold) -> Option<Prediction> {
        let planes = self.planes.as_ref();
        planes.map(|planes| planes.prediction(threshold))
    }

    pub(crate) fn planes(&self) -> Option<&Planes> {
        self.planes.as_ref()
    }

    /// The reference of a row below [`Self::rows`].
    pub fn reference(&self, row: usize) -> ReferenceId {
        ReferenceId(self.cast::<u64>(self.references)[row])
    }

    /// The person of a row below [`Self::rows`].
    pub fn person(&self, row: usize) -> PersonId {
        PersonId(self.cast::<u64>(self.persons)[row])
    }

    /// The highest reference.
    pub fn last(&self) -> Option<ReferenceId> {
        self.cast::<u64>(self.references)
            .last()
            .copied()
            .map(ReferenceId)
    }

    /// The row of a reference.
    pub fn find(&self, reference: ReferenceId) -> Option<usize> {
        self.cast::<u64>(self.references)
            .binary_search(&reference.0)
            .ok()
    }

    /// The embedding of a row below [`Self::rows`], after its block was checked once.
    pub fn embedding(&self, row: usize) -> Result<&[f32; DIM], GalleryError> {
        let block = (row * DIM * 4 / self.embeddings.block_len as usize) as u64;
        let (word, bit) = (
            &self.embeddings_checked[block as usize / 64],
            1 << (block % 64),
        );
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.check_block(&self.embeddings, block)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(&self.cast::<[f32; DIM]>(self.embeddings)[row])
    }

    /// Checks again what a search reads through the map: [`RECHECK_BLOCKS`] blocks from `from` on.
    /// Gives where to go on; 0 after the last one, when every embedding is to be checked again
    /// before it is next scored.
    ///
    /// After an error no search is answered from this gallery any more.
    pub fn recheck(&self, from: u64) -> Result<u64, GalleryError> {
        self.sound()?;
        let sections = [self.references, self.persons, self.codes, self.norms];
        let blocks = |section: Section| (0..section.blocks()).map(move |block| (section, block));
        let all = sections.into_iter().flat_map(blocks);
        for (next, (section, block)) in (from..).zip(all.skip(from as usize)) {
            if next == from + RECHECK_BLOCKS {
                return Ok(next);
            }
            let checked = self.check_block(&section, block);
            checked.inspect_err(|_| self.changed.store(true, Ordering::Relaxed))?;
        }
        for word in &self.embeddings_checked {
            word.store(0, Ordering::Relaxed);
        }
        Ok(0)
    }

    /// An error if the file has changed since it was opened, as far as that was seen.
    pub(crate) fn sound(&self) -> Result<(), GalleryError> {
        if self.changed.load(Ordering::Relaxed) {
            return Err(GalleryError::Changed);
        }
        Ok(())
    }

    /// Codes and norms of some rows.
    pub(crate) fn int8(&self, rows: Range<usize>) -> Int8Rows<'_> {
        Int8Rows {
            codes: &self.cast::<[i8; DIM]>(self.codes)[rows.clone()],
            norms: &self.cast::<Int8Norm>(self.norms)[rows],
        }
    }

    fn bytes(&self, section: Section) -> &[u8] {
        // In range: `Section::parse` compared both with the file's length, which is the map's.
        &self.map[section.offset as usize..(section.offset + section.length) as usize]
    }

    fn cast<T: Pod>(&self, section: Section) -> &[T] {
        // Aligned: the map begins on a page and offsets are multiples of a page. Whole rows:
        // `Sections::of_rows` compared the length.
        bytemuck::cast_slice(self.bytes(section))
    }

    fn check(&self) -> Result<(), GalleryError> {
        for section in [self.references, self.persons, self.codes, self.norms] {
            for block in 0..section.blocks() {
                self.check_block(&section, block)?;
            }
        }
        let refuse = |name, row: usize, problem| {
            Err(GalleryError::Row {
                name,
                row: row as u64,
                problem,
            })
        };
        let references = self.cast::<u64>(self.references);
        if let Some(row) = references.windows(2).position(|pair| pair[0] >= pair[1]) {
            return refuse(REFERENCES, row + 1, "does not rise");
        }
        let codes = self.cast::<[i8; DIM]>(self.codes);
        let has_minus_128 = |row: &[i8; DIM]| row.iter().fold(0, |min, &c| c.min(min)) == i8::MIN;
        if let Some(row) = codes.iter().position(has_minus_128) {
            return refuse(CODES, row, "code -128");
        }
        let norms = self.cast::<Int8Norm>(self.norms);
        let sane =
            |n: &Int8Norm| (0.0..=1.0).contains(&n.scale) && (0.0..=2.0).contains(&n.residual);
        if let Some(row) = norms.iter().position(|norm| !sane(norm)) {
            return refuse(NORMS, row, "scale or residual");
        }
        Ok(())
    }

    fn check_block(&self, section: &Section, block: u64) -> Result<(), GalleryError> {
        let sections = Sections {
            map: &self.map,
            header: &self.header,
        };
        sections.block(section, block).map(|_| ())
    }
}

impl<'a> Sections<'a> {
    pub(super) fn rows(&self) -> u64 {
        self.header.rows
    }

    /// A section whose table of checksums is sound, if there is one of this name.
    pub(super) fn optional(&self, name: SectionName) -> Result<Option<Section>, GalleryError> {
        let section = self
            .header
            .sections
            .iter()
            .find(|section| section.name == name);
        let Some(section) = section.copied() else {
            return Ok(None);
        };
        if section.layout != sections::layout(name) {
            return Err(GalleryError::Section {
                name,
                problem: "unknown layout",
            });
        }
        let table = &self.map[section.sums_offset as usize..][..section.blocks() as usize * 4];
        if sums_checksum(name, table) != section.sums_checksum {
            return Err(GalleryError::SumsChecksum { name });
        }
        Ok(Some(section))
    }

    /// A section that must be there, with the rows that it must have.
    fn of_rows(&self, name: SectionName, row_len: usize) -> Result<Section, GalleryError> {
        let section = self
            .optional(name)?
            .ok_or(GalleryError::MissingSection { name })?;
        // Rows are bounded by GALLERY_ROWS_MAX, so this does not overflow.
        let expected = self.header.rows * row_len as u64;
        if section.row_len as usize != row_len || section.length != expected {
            return Err(GalleryError::Section {
                name,
                problem: "length",
            });
        }
        Ok(section)
    }

    /// One block, checked. Offsets are inside: `Section::parse` compared them with the length.
    pub(super) fn block(&self, section: &Section, block: u64) -> Result<&'a [u8], GalleryError> {
        let name = section.name;
        let bytes = &self.map[section.offset as usize..][..section.length as usize];
        let start = block as usize * section.block_len as usize;
        let bytes = &bytes[start..bytes.len().min(start + section.block_len as usize)];
        let sums_at = (section.sums_offset + block * 4) as usize;
        let sum = &self.map[sums_at..sums_at + 4];
        let expected = u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]);
        let found = block_checksum(name, block, self.header.generation, bytes);
        if expected != found {
            return Err(GalleryError::ChecksumMismatch {
                name,
                block,
                expected,
                found,
            });
        }
        Ok(bytes)
    }

    /// All bytes of a section, checked.
    pub(super) fn checked(&self, section: &Section) -> Result<&'a [u8], GalleryError> {
        for block in 0..section.blocks() {
            self.block(section, block)?;
        }
        Ok(&self.map[section.offset as usize..][..section.length as usize])
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // JUSTIFICATION: a gallery larger than memory's comfort must be mapped, and a map of a file
    // cannot be safe: others can change the file.
    // SAFETY: the file is one that only Cardea writes, never in place while mapped (`erase` takes
    // the gallery by value first); every use of the bytes stays correct for any content, since
    // all are read as plain integers and floats.
    unsafe { Mmap::map(file) }
}

impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gallery")
            .field("path", &self.path)
            .field("generation", &self.generation())
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}
