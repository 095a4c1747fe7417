//! People as pages and the API show them. No photo, no embedding: neither is ever read here.

use super::call::Call;
use super::desk::Desk;
use super::reply::Failure;
use crate::store::{PeopleFilter, PeoplePage, Person, PersonId, PersonState, SettingKey};

/// Every state of a person that is shown.
pub(super) const STATES: [&str; 6] = [
    "requested",
    "invited",
    "consented",
    "enrolled",
    "expired",
    "suspended",
];

/// How far a person is, by name in texts and the API.
///
/// # Errors
/// Those of a read.
pub(super) fn state(
    desk: &Desk,
    call: &Call,
    external_id: &str,
    state: PersonState,
) -> Result<&'static str, Failure> {
    match state {
        PersonState::Suspended => return Ok("suspended"),
        PersonState::Enrolled => return Ok("enrolled"),
        PersonState::Invited => {}
    }
    let enrolment = desk.read.store.enrolment(external_id, call.now_unix_s)?;
    Ok(enrolment.map_or("requested", |enrolment| enrolment.stage.word()))
}

/// A state's pill.
pub(super) fn kind(state: &str) -> &'static str {
    match state {
        "enrolled" => "good",
        "suspended" | "expired" => "bad",
        "consented" => "warning",
        _ => "none",
    }
}

/// A page of people whose name, or else external id, begins with this text; by that column. `by`
/// and `after` are of the page before: `external_id` goes on by external ids.
///
/// # Errors
/// Those of a read.
pub(super) fn page(
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
pub(super) fn person(desk: &Desk, external_id: &str) -> Result<Person, Failure> {
    let person = desk.read.store.person_show(external_id)?;
    person.ok_or(Failure::NotFound)
}

/// Names of the doors at which a person may enter.
///
/// # Errors
/// Those of a read.
pub(super) fn doors(desk: &Desk, person: &Person) -> Result<Vec<String>, Failure> {
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
pub(super) fn rights_from_space(desk: &Desk) -> Result<bool, Failure> {
    Ok(desk.read.store.setting(SettingKey::SPACE_SEALED)?.is_some())
}
