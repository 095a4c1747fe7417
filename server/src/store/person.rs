//! People as they are read: one, a page, or all of them.

use rusqlite::{OptionalExtension as _, Row, Rows};

use super::error::StoreError;
use super::id::{DoorId, PersonId, ReferenceId, key, number};
use super::reader::Reader;
use super::text::folded;
use crate::limits::PAGE_ROWS_MAX;

/// How far a person has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PersonState {
    /// Asked to enrol: no consent and no reference yet.
    Invited = 1,
    /// Enrolled.
    Enrolled = 2,
    /// Enrolled and denied everywhere: gone from the access control system, or held by hand.
    Suspended = 3,
}

/// How consent was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ConsentHow {
    /// To an administrator, who recorded it.
    InPerson = 1,
    /// By the person, online.
    Online = 2,
    /// Elsewhere, and brought with an import.
    Imported = 3,
}

/// A person's consent to a privacy policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The policy's version.
    pub policy_version: String,
    /// When, Unix time in seconds.
    pub at_unix_s: i64,
    /// How.
    pub how: ConsentHow,
}

/// All that is known of a person, but the embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The id.
    pub id: PersonId,
    /// What the site calls them, unique.
    pub external_id: String,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// How far they have come.
    pub state: PersonState,
    /// Consent; none before enrolment.
    pub consent: Option<Consent>,
    /// Since when they are known, Unix time in seconds.
    pub created_unix_s: i64,
    /// They may enter at every door.
    pub every_door: bool,
    /// Doors at which they may enter, by id.
    pub doors: Vec<DoorId>,
    /// Their references, by id.
    pub references: Vec<ReferenceSummary>,
}

/// A reference without its embedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceSummary {
    /// The id.
    pub id: ReferenceId,
    /// The capture's quality, 0..1, if it is known.
    pub quality: Option<f32>,
    /// When it was enrolled, Unix time in seconds.
    pub created_unix_s: i64,
}

/// What a server keeps of a person in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonEntry {
    /// The id.
    pub id: PersonId,
    /// What the site calls them.
    pub external_id: String,
    /// How far they have come.
    pub state: PersonState,
    /// The policy they consented to.
    pub consent_policy: Option<String>,
    /// They may enter at every door.
    pub every_door: bool,
    /// Doors at which they may enter, by id.
    pub doors: Vec<DoorId>,
}

/// A line of a page of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// The id.
    pub id: PersonId,
    /// What the site calls them.
    pub external_id: String,
    /// Their name.
    pub name: String,
    /// How far they have come.
    pub state: PersonState,
    /// How many references they have.
    pub references: u64,
}

/// Which people a page shows, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeopleFilter {
    /// Whose name begins so, upper and lower case alike, by name; all for an empty text.
    Name(String),
    /// Whose external id begins so, exactly, by external id; all for an empty text.
    ExternalId(String),
}

/// A page of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeoplePage {
    /// The people.
    pub people: Vec<PersonRow>,
    /// Where the next page begins: the last person of this one; none on the last page.
    pub next: Option<PersonId>,
}

const ENTRY: &str = "SELECT id, external_id, state, every_door, consent_policy FROM people_visible";

impl Reader {
    /// A person by external id, if there is one.
    ///
    /// # Errors
    /// Those of a read.
    pub fn person_show(&self, external_id: &str) -> Result<Option<Person>, StoreError> {
        let snapshot = self.snapshot()?;
        let person = snapshot
            .db
            .prepare_cached(
                "SELECT id, external_id, name, email, state, every_door, created,
                        consent_policy, consent_at, consent_how
                 FROM people_visible WHERE external_id = ?1",
            )?
            .query_row([external_id], person_of)
            .optional()?;
        let Some(mut person) = person else {
            return Ok(None);
        };
        person.doors = snapshot.doors_of(person.id)?;
        person.references = snapshot.references_of(person.id)?;
        Ok(Some(person))
    }

    /// What a server keeps of a person, if they are visible.
    ///
    /// # Errors
    /// Those of a read.
    pub fn person_entry(&self, person: PersonId) -> Result<Option<PersonEntry>, StoreError> {
        let snapshot = self.snapshot()?;
        let entry = snapshot
            .db
            .prepare_cached(&format!("{ENTRY} WHERE id = ?1"))?
            .query_row([key(person.0)], entry_of)
            .optional()?;
        let Some(mut entry) = entry else {
            return Ok(None);
        };
        entry.doors = snapshot.doors_of(person)?;
        Ok(Some(entry))
    }

    /// Every visible person, by id; returns how many.
    ///
    /// # Errors
    /// Those of a read; those of `each`, which ends the walk.
    pub fn people_each<E: From<StoreError>>(
        &self,
        each: impl FnMut(PersonEntry) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.entries_each("id > ?1", 0, each)
    }

    /// Every person of an import that is visible, by id; returns how many.
    ///
    /// # Errors
    /// As [`Reader::people_each`].
    pub fn imported_people_each<E: From<StoreError>>(
        &self,
        import: super::ImportId,
        each: impl FnMut(PersonEntry) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.entries_each("import = ?1 AND import > 0", key(import.0), each)
    }

    fn entries_each<E: From<StoreError>>(
        &self,
        condition: &str,
        value: i64,
        mut each: impl FnMut(PersonEntry) -> Result<(), E>,
    ) -> Result<u64, E> {
        let snapshot = self.snapshot()?;
        let mut walk = snapshot.prepared(&format!("{ENTRY} WHERE {condition} ORDER BY id"))?;
        let first: i64 = snapshot
            .prepared(&format!(
                "SELECT coalesce(min(id), 0) FROM people WHERE {condition}"
            ))?
            .query_row([value], |row| row.get(0))
            .map_err(StoreError::from)?;
        let mut rights = snapshot
            .prepared("SELECT person, door FROM rights WHERE person >= ?1 ORDER BY person, door")?;
        let mut rights = rights.query([first]).map_err(StoreError::from)?;
        let mut right = next_right(&mut rights)?;
        let mut rows = walk.query([value]).map_err(StoreError::from)?;
        let mut people = 0;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            let mut entry = entry_of(row).map_err(StoreError::from)?;
            // Both walks go by person, so that one person's doors need no search of their own.
            while let Some((person, door)) = right.filter(|(person, _)| *person <= entry.id) {
                if person == entry.id {
                    entry.doors.push(door);
                }
                right = next_right(&mut rights)?;
            }
            each(entry)?;
            people += 1;
        }
        Ok(people)
    }

    /// A page of at most `limit` people (1,000 at most), after the person `after`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where `after` was withdrawn meanwhile: begin again; those of a
    /// read.
    pub fn people_page(
        &self,
        filter: &PeopleFilter,
        after: Option<PersonId>,
        limit: usize,
    ) -> Result<PeoplePage, StoreError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let (column, prefix) = match filter {
            PeopleFilter::Name(prefix) => ("name_folded", folded(prefix)),
            PeopleFilter::ExternalId(prefix) => ("external_id", prefix.clone()),
        };
        let sql = page_sql(column);
        let (start, after) = match after {
            Some(after) => (self.page_key(column, after)?, after.0),
            None => (prefix.clone(), 0),
        };
        let mut select = self.db.prepare_cached(&sql)?;
        let mut rows = select.query((start, key(after)))?;
        let mut page = PeoplePage {
            people: Vec::new(),
            next: None,
        };
        while let Some(row) = rows.next()? {
            // Those that begin alike stand together in this order.
            if !row
                .get_ref(5)?
                .as_str()
                .is_ok_and(|text| text.starts_with(&prefix))
            {
                break;
            }
            if page.people.len() == limit {
                page.next = page.people.last().map(|person: &PersonRow| person.id);
                break;
            }
            page.people.push(row_of(row)?);
        }
        Ok(page)
    }

    // Where a page goes on.
    fn page_key(&self, column: &str, after: PersonId) -> Result<String, StoreError> {
        let text = self
            .db
            .prepare_cached(&format!("SELECT {column} FROM people WHERE id = ?1"))?
            .query_row([key(after.0)], |row| row.get(0))
            .optional()?;
        text.ok_or(StoreError::NotFound {
            entity: super::Entity::Person,
        })
    }

    fn doors_of(&self, person: PersonId) -> Result<Vec<DoorId>, StoreError> {
        let mut select = self
            .db
            .prepare_cached("SELECT door FROM rights WHERE person = ?1 ORDER BY door")?;
        let doors = select
            .query_map([key(person.0)], |row| Ok(DoorId(number(row.get(0)?))))?
            .collect::<Result<_, _>>()?;
        Ok(doors)
    }

    fn references_of(&self, person: PersonId) -> Result<Vec<ReferenceSummary>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT id, quality, created FROM references_ WHERE person = ?1 ORDER BY id",
        )?;
        let references = select
            .query_map([key(person.0)], |row| {
                Ok(ReferenceSummary {
                    id: ReferenceId(number(row.get(0)?)),
                    quality: row.get(1)?,
                    created_unix_s: row.get(2)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(references)
    }
}

/// A page of people by a column that has an index.
pub(super) fn page_sql(column: &str) -> String {
    format!(
        "SELECT id, external_id, name, state,
                (SELECT count(*) FROM references_ WHERE person = people_visible.id), {column}
         FROM people_visible WHERE ({column}, id) > (?1, ?2) ORDER BY {column}, id"
    )
}

fn next_right(rights: &mut Rows<'_>) -> Result<Option<(PersonId, DoorId)>, StoreError> {
    match rights.next()? {
        Some(row) => Ok(Some((
            PersonId(number(row.get(0)?)),
            DoorId(number(row.get(1)?)),
        ))),
        None => Ok(None),
    }
}

fn person_of(row: &Row<'_>) -> rusqlite::Result<Person> {
    let policy: Option<String> = row.get(7)?;
    let consent = match policy {
        Some(policy_version) => Some(Consent {
            policy_version,
            at_unix_s: row.get(8)?,
            how: how_of(row.get(9)?)?,
        }),
        None => None,
    };
    Ok(Person {
        id: PersonId(number(row.get(0)?)),
        external_id: row.get(1)?,
        name: row.get(2)?,
        email: row.get(3)?,
        state: state_of(row.get(4)?)?,
        consent,
        created_unix_s: row.get(6)?,
        every_door: row.get(5)?,
        doors: Vec::new(),
        references: Vec::new(),
    })
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<PersonEntry> {
    Ok(PersonEntry {
        id: PersonId(number(row.get(0)?)),
        external_id: row.get(1)?,
        state: state_of(row.get(2)?)?,
        every_door: row.get(3)?,
        consent_policy: row.get(4)?,
        doors: Vec::new(),
    })
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<PersonRow> {
    Ok(PersonRow {
        id: PersonId(number(row.get(0)?)),
        external_id: row.get(1)?,
        name: row.get(2)?,
        state: state_of(row.get(3)?)?,
        references: number(row.get(4)?),
    })
}

/// The state of a stored number.
pub(crate) fn state_of(stored: i64) -> rusqlite::Result<PersonState> {
    match stored {
        1 => Ok(PersonState::Invited),
        2 => Ok(PersonState::Enrolled),
        3 => Ok(PersonState::Suspended),
        found => Err(rusqlite::Error::IntegralValueOutOfRange(0, found)),
    }
}

fn how_of(stored: i64) -> rusqlite::Result<ConsentHow> {
    match stored {
        1 => Ok(ConsentHow::InPerson),
        2 => Ok(ConsentHow::Online),
        3 => Ok(ConsentHow::Imported),
        found => Err(rusqlite::Error::IntegralValueOutOfRange(0, found)),
    }
}
