//! Doors, and the rights of people at them.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Store;
use super::changes::{Change, publish};
use super::error::{Entity, StoreError};
use super::id::{DoorId, PersonId, key, number};
use super::people::visible_person;
use super::reader::Reader;
use super::text::checked;
use crate::limits::{DOOR_NAME_BYTES_MAX, SPACE_DOOR_ID_BYTES_MAX};

/// A door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// Its id.
    pub id: DoorId,
    /// Its name, unique.
    pub name: String,
    /// What the access control system calls it (`ExtDoorID`), unique.
    pub space_door: Option<String>,
}

/// Where a right holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightScope {
    /// At one door.
    Door(DoorId),
    /// At every door, later ones included.
    EveryDoor,
}

impl Store {
    /// Adds a door.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for a name or a Space door that another has; [`StoreError::Invalid`].
    pub fn door_add(&mut self, name: &str, space_door: Option<&str>) -> Result<Door, StoreError> {
        checked_door(name, space_door)?;
        self.change(1, |db| {
            unique_door(db, DoorId(0), name, space_door)?;
            let id = db
                .prepare_cached("INSERT INTO doors(name, space_door) VALUES (?1, ?2)")?
                .insert((name, space_door))?;
            let id = DoorId(number(id));
            publish(db, &[Change::Door(id)])?;
            Ok(Door {
                id,
                name: name.to_owned(),
                space_door: space_door.map(str::to_owned),
            })
        })
    }

    /// Renames a door, or pairs it with another door of the access control system.
    ///
    /// # Errors
    /// As [`Store::door_add`]; [`StoreError::NotFound`].
    pub fn door_edit(
        &mut self,
        door: DoorId,
        name: &str,
        space_door: Option<&str>,
    ) -> Result<u64, StoreError> {
        checked_door(name, space_door)?;
        self.change(1, |db| {
            unique_door(db, door, name, space_door)?;
            let changed = db
                .prepare_cached("UPDATE doors SET name = ?2, space_door = ?3 WHERE id = ?1")?
                .execute((key(door.0), name, space_door))?;
            found(changed, Entity::Door)?;
            publish(db, &[Change::Door(door)])
        })
    }

    /// Removes a door and every right at it.
    ///
    /// # Errors
    /// [`StoreError::InUseBy`] a device; [`StoreError::NotFound`].
    pub fn door_remove(&mut self, door: DoorId) -> Result<u64, StoreError> {
        self.change(1, |db| {
            let needed = db
                .prepare_cached("SELECT 1 FROM devices WHERE door = ?1")?
                .exists([key(door.0)])?;
            if needed {
                return Err(StoreError::InUseBy {
                    entity: Entity::Device,
                });
            }
            let removed = db
                .prepare_cached("DELETE FROM doors WHERE id = ?1")?
                .execute([key(door.0)])?;
            found(removed, Entity::Door)?;
            publish(db, &[Change::DoorRemoved(door)])
        })
    }

    /// Lets a person in at a door or at every door. Granting twice is granting once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the person or the door.
    pub fn right_grant(&mut self, external_id: &str, scope: RightScope) -> Result<u64, StoreError> {
        self.change(1, |db| {
            let person = visible_person(db, external_id)?;
            match scope {
                RightScope::Door(door) => insert_right(db, person, door)?,
                RightScope::EveryDoor => set_every_door(db, person, true)?,
            }
            publish(db, &[Change::Person(person)])
        })
    }

    /// Takes a right back. A right at every door and one at a door are apart: each is taken back
    /// by itself.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the person.
    pub fn right_revoke(
        &mut self,
        external_id: &str,
        scope: RightScope,
    ) -> Result<u64, StoreError> {
        self.change(1, |db| {
            let person = visible_person(db, external_id)?;
            match scope {
                RightScope::Door(door) => {
                    db.prepare_cached("DELETE FROM rights WHERE person = ?1 AND door = ?2")?
                        .execute((key(person.0), key(door.0)))?;
                }
                RightScope::EveryDoor => set_every_door(db, person, false)?,
            }
            publish(db, &[Change::Person(person)])
        })
    }
}

impl Reader {
    /// All doors, by id.
    ///
    /// # Errors
    /// Those of a read.
    pub fn doors(&self) -> Result<Vec<Door>, StoreError> {
        let mut select = self
            .db
            .prepare_cached("SELECT id, name, space_door FROM doors ORDER BY id")?;
        let doors = select.query_map([], door_of)?.collect::<Result<_, _>>()?;
        Ok(doors)
    }

    /// One door, if it is there.
    ///
    /// # Errors
    /// Those of a read.
    pub fn door(&self, door: DoorId) -> Result<Option<Door>, StoreError> {
        let door = self
            .db
            .prepare_cached("SELECT id, name, space_door FROM doors WHERE id = ?1")?
            .query_row([key(door.0)], door_of)
            .optional()?;
        Ok(door)
    }

    /// The door of a name, if it is there.
    ///
    /// # Errors
    /// Those of a read.
    pub fn door_named(&self, name: &str) -> Result<Option<Door>, StoreError> {
        let door = self
            .db
            .prepare_cached("SELECT id, name, space_door FROM doors WHERE name = ?1")?
            .query_row([name], door_of)
            .optional()?;
        Ok(door)
    }
}

/// Gives a person a right at a door that exists.
pub(crate) fn insert_right(
    db: &Connection,
    person: PersonId,
    door: DoorId,
) -> Result<(), StoreError> {
    require_door(db, door)?;
    db.prepare_cached("INSERT OR IGNORE INTO rights(person, door) VALUES (?1, ?2)")?
        .execute((key(person.0), key(door.0)))?;
    Ok(())
}

/// Refuses a door that does not exist.
pub(crate) fn require_door(db: &Connection, door: DoorId) -> Result<(), StoreError> {
    let exists = db
        .prepare_cached("SELECT 1 FROM doors WHERE id = ?1")?
        .exists([key(door.0)])?;
    found(usize::from(exists), Entity::Door)
}

/// Refuses where nothing was found.
pub(crate) fn found(rows: usize, entity: Entity) -> Result<(), StoreError> {
    if rows == 0 {
        return Err(StoreError::NotFound { entity });
    }
    Ok(())
}

fn set_every_door(db: &Connection, person: PersonId, every: bool) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE people SET every_door = ?2 WHERE id = ?1")?
        .execute((key(person.0), every))?;
    Ok(())
}

fn checked_door(name: &str, space_door: Option<&str>) -> Result<(), StoreError> {
    checked("door name", name, DOOR_NAME_BYTES_MAX)?;
    if let Some(space_door) = space_door {
        checked("Space door", space_door, SPACE_DOOR_ID_BYTES_MAX)?;
    }
    Ok(())
}

fn unique_door(
    db: &Connection,
    door: DoorId,
    name: &str,
    space_door: Option<&str>,
) -> Result<(), StoreError> {
    let other: Option<i64> = db
        .prepare_cached("SELECT id FROM doors WHERE (name = ?2 OR space_door = ?3) AND id <> ?1")?
        .query_row((key(door.0), name, space_door), |row| row.get(0))
        .optional()?;
    match other {
        Some(id) => Err(StoreError::Exists {
            entity: Entity::Door,
            id: number(id),
        }),
        None => Ok(()),
    }
}

fn door_of(row: &Row<'_>) -> rusqlite::Result<Door> {
    Ok(Door {
        id: DoorId(number(row.get(0)?)),
        name: row.get(1)?,
        space_door: row.get(2)?,
    })
}
