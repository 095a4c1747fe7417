//! Embeddings in slots: appended, overwritten in place, never moved. `schema` says why.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::error::StoreError;
use super::id::{PersonId, ReferenceId, key, number};
use super::people::NewReference;
use crate::limits::EMBEDDING_BYTES;

/// Stores one reference of a person: its embedding in a free slot or a new one.
pub(crate) fn insert_reference(
    db: &Connection,
    person: PersonId,
    reference: &NewReference,
    now_unix_s: i64,
    import: i64,
) -> Result<ReferenceId, StoreError> {
    let slot = fill_slot(db, &reference.embedding)?;
    let id = db
        .prepare_cached(
            "INSERT INTO references_(person, slot, checksum, quality, created, import)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .insert((
            key(person.0),
            slot,
            checksum(slot, &reference.embedding),
            reference.quality,
            now_unix_s,
            import,
        ))?;
    Ok(ReferenceId(number(id)))
}

/// Removes every reference of a person and zeroes their embeddings.
pub(crate) fn erase_references(
    db: &Connection,
    person: PersonId,
) -> Result<Vec<ReferenceId>, StoreError> {
    let mut select =
        db.prepare_cached("SELECT id FROM references_ WHERE person = ?1 ORDER BY id")?;
    let ids = select
        .query_map([key(person.0)], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    ids.into_iter()
        .map(|id| {
            let id = ReferenceId(number(id));
            erase_reference(db, id).map(|()| id)
        })
        .collect()
}

/// Removes one reference and zeroes its embedding.
pub(crate) fn erase_reference(db: &Connection, id: ReferenceId) -> Result<(), StoreError> {
    let slot: i64 = db
        .prepare_cached("DELETE FROM references_ WHERE id = ?1 RETURNING slot")?
        .query_row([key(id.0)], |row| row.get(0))?;
    db.prepare_cached("UPDATE embeddings SET bytes = zeroblob(?2) WHERE slot = ?1")?
        .execute((slot, EMBEDDING_BYTES as i64))?;
    db.prepare_cached("INSERT INTO slots_free(slot) VALUES (?1)")?
        .execute([slot])?;
    Ok(())
}

/// The embedding of a row `(.., slot, checksum, bytes)` that begins at `column`, checked.
pub(crate) fn embedding_of<'row>(
    row: &'row Row<'_>,
    reference: ReferenceId,
    column: usize,
) -> Result<&'row [u8; EMBEDDING_BYTES], StoreError> {
    let slot: i64 = row.get(column)?;
    let expected: i64 = row.get(column + 1)?;
    let bytes = row.get_ref(column + 2)?.as_blob().ok();
    match bytes.and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) if checksum(slot, bytes) == expected => Ok(bytes),
        _ => Err(StoreError::DamagedReference {
            reference: reference.0,
        }),
    }
}

// CRC-32C of the slot and the bytes, so that bytes of another reference do not pass.
fn checksum(slot: i64, bytes: &[u8; EMBEDDING_BYTES]) -> i64 {
    let start = crc32c::crc32c(&slot.to_le_bytes());
    i64::from(crc32c::crc32c_append(start, bytes))
}

fn fill_slot(db: &Connection, bytes: &[u8; EMBEDDING_BYTES]) -> Result<i64, StoreError> {
    let free: Option<i64> = db
        .prepare_cached("SELECT slot FROM slots_free LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(slot) = free else {
        // The largest slot plus one: the row is appended.
        let slot = db
            .prepare_cached("INSERT INTO embeddings(bytes) VALUES (?1)")?
            .insert([bytes])?;
        return Ok(slot);
    };
    db.prepare_cached("DELETE FROM slots_free WHERE slot = ?1")?
        .execute([slot])?;
    // Same length as what lies there, so SQLite overwrites the cell where it is.
    db.prepare_cached("UPDATE embeddings SET bytes = ?2 WHERE slot = ?1")?
        .execute((slot, bytes))?;
    Ok(slot)
}
