//! People as pages and the API show them. No photo, no embedding: neither is ever read here.

use super::desk::Desk;
use super::reply::Failure;
use crate::store::{PeopleFilter, PeoplePage, Person, PersonId, PersonState, SettingKey};

/// Every state of a person that is shown.
pub const STATES: [&str; 3] = ["invited", "enrolled", "suspended"];

/// A state's name in texts and the API.
pub fn state(state: PersonState) -> &'static str {
    match state {
        PersonState::Invited => STATES[0],
        PersonState::Enrolled => STATES[1],
        PersonState::Suspended => STATES[2],
    }
}

/// A state's pill.
pub fn kind(state: PersonState) -> &'static str {
    match state {
        PersonState::Invited => "none",
        PersonState::Enrolled => "good",
        PersonState::Suspended => "bad",
    }
}

/// A page of people whose name, or else external id, begins with this text; by that column. `by`
/// and `after` are of the page before: `external_id` goes on by external ids.
///
/// # Errors
/// Those of a read.
pub fn page(
    desk: &Desk,
    search: &str,
    by: &str,
    after: Option<u64>,
    limit: usize,
) -> Result<(PeoplePage, &'static str), Failure> {
    let after = after.map(PersonId);
    let by_name = PeopleFilter::Name(search.to_owned());
    let by_id = PeopleFilter::ExternalId(search.to_owned());
    if by == "external_id" {
        return Ok((
            desk.read.store.people_page(&by_id, after, limit)?,
            "external_id",
        ));
    }
    let page = desk.read.store.people_page(&by_name, after, limit)?;
    if page.people.is_empty() && !search.is_empty() && after.is_none() {
        let page = desk.read.store.people_page(&by_id, None, limit)?;
        return Ok((page, "external_id"));
    }
    Ok((page, "name"))
}

/// One person.
///
/// # Errors
/// [`Failure::NotFound`]; those of a read.
pub fn person(desk: &Desk, external_id: &str) -> Result<Person, Failure> {
    let person = desk.read.store.person_show(external_id)?;
    person.ok_or(Failure::NotFound)
}

/// Names of the doors at which a person may enter.
///
/// # Errors
/// Those of a read.
pub fn doors(desk: &Desk, person: &Person) -> Result<Vec<String>, Failure> {
    let doors = desk.read.store.doors()?;
    let held = doors
        .into_iter()
        .filter(|door| person.doors.contains(&door.id));
    Ok(held.map(|door| door.name).collect())
}

/// Whether rights come from Space: then they are not changed here.
///
/// # Errors
/// Those of a read.
pub fn rights_from_space(desk: &Desk) -> Result<bool, Failure> {
    Ok(desk.read.store.setting(SettingKey::SPACE_SEALED)?.is_some())
}
