//! The bytes of a gallery file's header, as FORMAT.md gives them. Parsing trusts nothing.

use super::GalleryError;
use crate::limits::{GALLERY_ROWS_MAX, SECTIONS_MAX};
use crate::{DIM, ModelId};

/// First bytes of every gallery file.
pub(crate) const MAGIC: [u8; 8] = *b"CARDEAGL";
/// Version of the header's layout.
pub(crate) const VERSION: u32 = 1;
/// Bytes of the header, and what every section's offset is a multiple of.
pub(crate) const PAGE: u64 = 4096;
pub(crate) const HEADER_LEN: usize = PAGE as usize;

const VERSION_AT: usize = 8;
const DIMENSION_AT: usize = 12;
const ROWS_AT: usize = 16;
const GENERATION_AT: usize = 24;
const MODEL_AT: usize = 32;
const FILE_LEN_AT: usize = 48;
const SECTION_COUNT_AT: usize = 56;
const SECTIONS_AT: usize = 64;
const SECTION_LEN: usize = 64;
const CHECKSUM_AT: usize = HEADER_LEN - 4;

const NAME_AT: usize = 0;
const LAYOUT_AT: usize = 4;
const OFFSET_AT: usize = 8;
const LENGTH_AT: usize = 16;
const SUMS_OFFSET_AT: usize = 24;
const BLOCK_LEN_AT: usize = 32;
const ROW_LEN_AT: usize = 36;
const SUMS_CHECKSUM_AT: usize = 40;

/// Smallest and largest unit of checksums.
const BLOCK_LENS: std::ops::RangeInclusive<u32> = 4096..=1 << 20;

const _: () = assert!(SECTIONS_AT + SECTIONS_MAX * SECTION_LEN <= CHECKSUM_AT);

/// Four ASCII letters that name a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionName(pub [u8; 4]);

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) model: ModelId,
    pub(crate) generation: u64,
    pub(crate) rows: u64,
    pub(crate) file_len: u64,
    pub(crate) sections: Vec<Section>,
}

/// Where a section lies and how it is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) name: SectionName,
    /// Version of this section's own layout.
    pub(crate) layout: u32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Table of one CRC-32C per block.
    pub(crate) sums_offset: u64,
    pub(crate) block_len: u32,
    /// Bytes of one row, 0 if the section has no rows.
    pub(crate) row_len: u32,
    pub(crate) sums_checksum: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        put_u32(&mut bytes, VERSION_AT, VERSION);
        put_u32(&mut bytes, DIMENSION_AT, DIM as u32);
        put_u64(&mut bytes, ROWS_AT, self.rows);
        put_u64(&mut bytes, GENERATION_AT, self.generation);
        bytes[MODEL_AT..][..16].copy_from_slice(&self.model.0);
        put_u64(&mut bytes, FILE_LEN_AT, self.file_len);
        put_u32(&mut bytes, SECTION_COUNT_AT, self.sections.len() as u32);
        for (number, section) in self.sections.iter().enumerate() {
            section.encode(&mut bytes[SECTIONS_AT + number * SECTION_LEN..][..SECTION_LEN]);
        }
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        put_u32(&mut bytes, CHECKSUM_AT, checksum);
        bytes
    }

    /// Parses a header that claims to describe a file of `file_len` bytes.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN], file_len: u64) -> Result<Self, GalleryError> {
        if bytes[..8] != MAGIC {
            return Err(GalleryError::NotAGallery);
        }
        let version = u32_at(bytes, VERSION_AT);
        if version != VERSION {
            return Err(GalleryError::Version { found: version });
        }
        let (expected, found) = (
            crc32c::crc32c(&bytes[..CHECKSUM_AT]),
            u32_at(bytes, CHECKSUM_AT),
        );
        if expected != found {
            return Err(GalleryError::HeaderChecksum { expected, found });
        }
        let dimension = u32_at(bytes, DIMENSION_AT);
        if dimension as usize != DIM {
            return Err(GalleryError::Dimension { found: dimension });
        }
        let rows = u64_at(bytes, ROWS_AT);
        if rows > GALLERY_ROWS_MAX {
            return Err(GalleryError::Rows { found: rows });
        }
        let expected = u64_at(bytes, FILE_LEN_AT);
        if expected != file_len {
            return Err(GalleryError::Length {
                expected,
                found: file_len,
            });
        }
        let count = u32_at(bytes, SECTION_COUNT_AT);
        if count as usize > SECTIONS_MAX {
            return Err(GalleryError::Sections { found: count });
        }
        let entries = bytes[SECTIONS_AT..].as_chunks::<SECTION_LEN>().0;
        let sections = entries[..count as usize]
            .iter()
            .map(|entry| Section::parse(entry, file_len))
            .collect::<Result<Vec<_>, _>>()?;
        let mut model = [0; 16];
        model.copy_from_slice(&bytes[MODEL_AT..][..16]);
        let generation = u64_at(bytes, GENERATION_AT);
        Ok(Self {
            model: ModelId(model),
            generation,
            rows,
            file_len,
            sections,
        })
    }
}

impl Section {
    /// Number of checksummed blocks; the last may be short.
    pub(crate) fn blocks(&self) -> u64 {
        self.length.div_ceil(u64::from(self.block_len))
    }

    fn encode(&self, bytes: &mut [u8]) {
        bytes[NAME_AT..][..4].copy_from_slice(&self.name.0);
        put_u32(bytes, LAYOUT_AT, self.layout);
        put_u64(bytes, OFFSET_AT, self.offset);
        put_u64(bytes, LENGTH_AT, self.length);
        put_u64(bytes, SUMS_OFFSET_AT, self.sums_offset);
        put_u32(bytes, BLOCK_LEN_AT, self.block_len);
        put_u32(bytes, ROW_LEN_AT, self.row_len);
        put_u32(bytes, SUMS_CHECKSUM_AT, self.sums_checksum);
    }

    fn parse(bytes: &[u8; SECTION_LEN], file_len: u64) -> Result<Self, GalleryError> {
        let section = Self {
            name: SectionName([bytes[0], bytes[1], bytes[2], bytes[3]]),
            layout: u32_at(bytes, LAYOUT_AT),
            offset: u64_at(bytes, OFFSET_AT),
            length: u64_at(bytes, LENGTH_AT),
            sums_offset: u64_at(bytes, SUMS_OFFSET_AT),
            block_len: u32_at(bytes, BLOCK_LEN_AT),
            row_len: u32_at(bytes, ROW_LEN_AT),
            sums_checksum: u32_at(bytes, SUMS_CHECKSUM_AT),
        };
        let refuse = |problem| {
            Err(GalleryError::Section {
                name: section.name,
                problem,
            })
        };
        if !BLOCK_LENS.contains(&section.block_len) || !section.block_len.is_power_of_two() {
            return refuse("block length");
        }
        if !section.offset.is_multiple_of(PAGE) || !section.sums_offset.is_multiple_of(PAGE) {
            return refuse("alignment");
        }
        let inside = |offset: u64, length: u64| {
            offset >= PAGE
                && offset
                    .checked_add(length)
                    .is_some_and(|end| end <= file_len)
        };
        if !inside(section.offset, section.length) {
            return refuse("outside the file");
        }
        if !inside(section.sums_offset, section.blocks() * 4) {
            return refuse("checksums outside the file");
        }
        Ok(section)
    }
}

/// CRC-32C of one block: of the section's name, the block's number, the generation, the bytes.
pub(crate) fn block_checksum(name: SectionName, block: u64, generation: u64, bytes: &[u8]) -> u32 {
    let mut prefix = [0; 20];
    prefix[..4].copy_from_slice(&name.0);
    put_u64(&mut prefix, 4, block);
    put_u64(&mut prefix, 12, generation);
    crc32c::crc32c_append(crc32c::crc32c(&prefix), bytes)
}

/// CRC-32C of a table of checksums: of the section's name and the table.
pub(crate) fn sums_checksum(name: SectionName, table: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&name.0), table)
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl std::fmt::Display for SectionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}
