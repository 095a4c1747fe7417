//! What a sync brings.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use crate::datetime::LocalDateTime;
use crate::ext_id::ExtId;
use crate::message::{Door, Group, Page, Permission, User, Zone};
use crate::rights::{Rights, RightsBuilder, TooMany};

/// One of Space's users, as far as this server shows and stores people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// `ExtUserID`.
    pub id: ExtId,
    /// `Title`; may be empty.
    pub title: String,
    /// `FirstName`; may be empty.
    pub first_name: String,
    /// `LastName`; may be empty.
    pub last_name: String,
    /// From the `GPF` field that the site named; not checked to be an address.
    pub email: Option<String>,
    /// `PhoneNumber`; may be empty.
    pub phone_number: String,
    /// Denied everywhere.
    pub is_banned: bool,
    /// No right from then on, local time.
    pub expiration: Option<LocalDateTime>,
    /// The field that could not be read, for which the person is denied everywhere.
    pub unreadable: Option<&'static str>,
    /// Changes when anything that Space says about the person does, permissions included.
    pub digest: u64,
}

/// One of Space's doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorEntry {
    /// `ExtDoorID`.
    pub id: ExtId,
    /// `Name`.
    pub name: String,
    /// `Description`.
    pub description: String,
    /// `BatteryStatus`, `None` when unknown.
    pub battery: Option<u32>,
}

/// What an administrator may want to know about a sync that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Calls that it took.
    pub calls: u32,
    /// Records without a usable identifier, left out.
    pub nameless: u32,
    /// Users who are denied because a field is unreadable.
    pub unreadable: u32,
    /// Requests that Space does not know; rights that come by them are missing.
    pub unknown_commands: Vec<&'static str>,
    /// Zones read.
    pub zones: u32,
    /// Groups read.
    pub groups: u32,
}

/// A whole site as of one sync.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All users, by ascending identifier.
    pub people: Vec<Person>,
    /// All doors, by ascending identifier.
    pub doors: Vec<DoorEntry>,
    /// Who may open which door.
    pub rights: Arc<Rights>,
    /// What was odd.
    pub notes: Notes,
}

/// What the pages have brought so far.
#[derive(Default)]
pub(super) struct Collected {
    people: Vec<Person>,
    doors: Vec<DoorEntry>,
    rights: RightsBuilder,
    pub(super) notes: Notes,
}

impl Collected {
    pub(super) fn users(&mut self, page: Page<User>, email: Option<u8>) -> Result<(), TooMany> {
        self.notes.nameless += page.nameless;
        for user in page.items {
            if !self.rights.add_user(&user)? {
                continue;
            }
            self.notes.unreadable += u32::from(user.unreadable.is_some());
            let digest = digest(&user);
            let field = email.and_then(|field| usize::from(field).checked_sub(1));
            let email = field.and_then(|field| user.gpf.get(field)).cloned();
            self.people.push(Person {
                id: user.id,
                title: user.title,
                first_name: user.first_name,
                last_name: user.last_name,
                email: email.filter(|email| !email.is_empty()),
                phone_number: user.phone_number,
                is_banned: user.is_banned,
                expiration: user.expiration,
                unreadable: user.unreadable,
                digest,
            });
        }
        Ok(())
    }

    pub(super) fn doors(&mut self, page: Page<Door>) -> Result<(), TooMany> {
        self.notes.nameless += page.nameless;
        for door in page.items {
            if self.rights.add_door(&door)? {
                let Door {
                    id,
                    name,
                    description,
                    battery,
                    ..
                } = door;
                self.doors.push(DoorEntry {
                    id,
                    name,
                    description,
                    battery,
                });
            }
        }
        Ok(())
    }

    pub(super) fn zones(&mut self, page: Page<Zone>) -> Result<(), TooMany> {
        self.notes.nameless += page.nameless;
        for zone in page.items {
            self.rights.add_zone(&zone)?;
            self.notes.zones += 1;
        }
        Ok(())
    }

    pub(super) fn groups(&mut self, page: Page<Group>) -> Result<(), TooMany> {
        self.notes.nameless += page.nameless;
        for group in page.items {
            self.notes.groups += u32::from(self.rights.add_group(&group)?);
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Snapshot, TooMany> {
        self.people
            .sort_unstable_by(|one, other| one.id.cmp(&other.id));
        self.doors
            .sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Ok(Snapshot {
            people: self.people,
            doors: self.doors,
            rights: Arc::new(self.rights.finish()?),
            notes: self.notes,
        })
    }
}

/// The first 8 bytes of a SHA-256 over everything that was read about `user`. The same on every
/// machine and in every version that reads the same fields.
fn digest(user: &User) -> u64 {
    let mut context = Context::new(&SHA256);
    let text = [
        &user.title,
        &user.first_name,
        &user.last_name,
        &user.phone_number,
    ];
    add(&mut context, user.id.as_str().as_bytes());
    for field in text.into_iter().chain(&user.gpf) {
        add(&mut context, field.as_bytes());
    }
    let flags = [
        u8::from(user.is_banned),
        u8::from(user.unreadable.is_some()),
    ];
    add(&mut context, &flags);
    for instant in [user.activation, user.expiration] {
        add_instant(&mut context, instant);
    }
    for list in [&user.doors, &user.zones] {
        add(&mut context, &(list.len() as u64).to_le_bytes());
        for Permission {
            target,
            timezone_table,
            period,
        } in list
        {
            add(&mut context, target.as_str().as_bytes());
            add(&mut context, &timezone_table.to_le_bytes());
            add_instant(&mut context, period.map(|(start, _)| start));
            add_instant(&mut context, period.map(|(_, end)| end));
        }
    }
    for group in &user.groups {
        add(&mut context, group.as_str().as_bytes());
    }
    let digest = context.finish();
    let first = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    u64::from_le_bytes(*first)
}

/// Length first, so that no two lists of fields give the same bytes.
fn add(context: &mut Context, bytes: &[u8]) {
    context.update(&(bytes.len() as u64).to_le_bytes());
    context.update(bytes);
}

fn add_instant(context: &mut Context, instant: Option<LocalDateTime>) {
    match instant {
        None => add(context, &[]),
        Some(instant) => add(context, &instant.seconds().to_le_bytes()),
    }
}
