//! Who may open which door, and when: the decision, from what was last read from Space.
//!
//! A [`Rights`] is immutable; [`RightsBuilder`] makes a whole new one after each sync. Equal lists
//! of permissions are kept once, so that 50,000 users with 500 doors each take a few megabytes
//! when their rights are alike, and six bytes per permission when no two users' are.

mod build;
mod lists;
mod timetable;

pub use build::{RightsBuilder, TooMany};
pub use timetable::{Interval, TimetableError, Timetables};

use crate::datetime::LocalDateTime;
use crate::ext_id::ExtId;
use lists::{Ids, List, Lists};

/// The answer of [`Rights::decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Space's records allow it now.
    Permit,
    /// They do not, and why.
    Deny(DenyReason),
}

/// Why Space's records do not allow it. Where several apply, the first in this order is given,
/// but for the last four: of these the last, which comes closest to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DenyReason {
    /// Space has no such user.
    UnknownPerson,
    /// Space has no such door.
    UnknownDoor,
    /// A field of the user that matters could not be read.
    UnreadableRecord,
    /// `IsBanned`.
    Banned,
    /// Before `UserActivation`.
    NotYetActive,
    /// From `UserExpiration` on.
    Expired,
    /// No permission names the door, one of its zones, or reaches it through a group.
    NoRight,
    /// A permission does, but now is outside its period.
    OutsidePeriod,
    /// A permission does, but now is outside its timezone table.
    OutsideTimetable {
        /// `TimezoneTableID`.
        table: u32,
    },
    /// A permission does, but nobody described its timezone table to this server.
    TimetableNotDescribed {
        /// `TimezoneTableID`.
        table: u32,
    },
}

/// When a permission holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Rule {
    timezone_table: u32,
    period: Option<(LocalDateTime, LocalDateTime)>,
}

impl Rule {
    /// `None` when it holds at `now`.
    fn deny(&self, now: LocalDateTime, timetables: &Timetables) -> Option<DenyReason> {
        let table = self.timezone_table;
        if self
            .period
            .is_some_and(|(start, end)| now < start || now >= end)
        {
            return Some(DenyReason::OutsidePeriod);
        }
        match timetables.holds(table, now) {
            Some(true) => None,
            Some(false) => Some(DenyReason::OutsideTimetable { table }),
            None => Some(DenyReason::TimetableNotDescribed { table }),
        }
    }
}

/// What of a user a decision needs.
#[derive(Clone, Copy, Debug)]
struct UserRow {
    is_banned: bool,
    is_unreadable: bool,
    activation: Option<LocalDateTime>,
    expiration: Option<LocalDateTime>,
    doors: List,
    zones: List,
    groups: List,
}

#[derive(Clone, Copy, Debug)]
struct GroupRow {
    doors: List,
    zones: List,
}

/// Users, doors, zones and groups of a site as of one sync, ready to decide.
#[derive(Debug, Default)]
pub struct Rights {
    users: Ids,
    user_rows: Vec<UserRow>,
    doors: Ids,
    /// Row of a door in `door_zones`, by its place in `doors`.
    door_rows: Vec<u16>,
    /// The zones that a door is in, by row; absent for doors that no list of doors named.
    door_zones: Vec<Option<List>>,
    groups: Vec<GroupRow>,
    rules: Vec<Rule>,
    lists: Lists,
}

impl Rights {
    /// Whether `person` may open `door` at the site's local time `now`. Looks at nothing but this
    /// and the tables that the site described.
    #[must_use]
    pub fn decide(
        &self,
        person: &ExtId,
        door: &ExtId,
        now: LocalDateTime,
        timetables: &Timetables,
    ) -> Decision {
        match self.deny(person, door, now, timetables) {
            None => Decision::Permit,
            Some(reason) => Decision::Deny(reason),
        }
    }

    /// How many users there are.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// How many doors there are.
    #[must_use]
    pub fn door_count(&self) -> usize {
        self.door_zones.iter().flatten().count()
    }

    /// Whether Space has this user.
    #[must_use]
    pub fn has_user(&self, person: &ExtId) -> bool {
        self.users.find(person).is_some()
    }

    /// Bytes of memory held, without what the allocator adds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.users.memory_bytes()
            + self.doors.memory_bytes()
            + self.lists.memory_bytes()
            + size_of_val(self.user_rows.as_slice())
            + size_of_val(self.door_rows.as_slice())
            + size_of_val(self.door_zones.as_slice())
            + size_of_val(self.groups.as_slice())
            + size_of_val(self.rules.as_slice())
    }

    fn deny(
        &self,
        person: &ExtId,
        door: &ExtId,
        now: LocalDateTime,
        timetables: &Timetables,
    ) -> Option<DenyReason> {
        let Some(user) = self.users.find(person).map(|place| self.user_rows[place]) else {
            return Some(DenyReason::UnknownPerson);
        };
        let Some(door) = self.doors.find(door).map(|place| self.door_rows[place]) else {
            return Some(DenyReason::UnknownDoor);
        };
        let Some(zones) = self.door_zones[usize::from(door)] else {
            return Some(DenyReason::UnknownDoor);
        };
        if user.is_unreadable {
            return Some(DenyReason::UnreadableRecord);
        }
        if user.is_banned {
            return Some(DenyReason::Banned);
        }
        if user.activation.is_some_and(|activation| now < activation) {
            return Some(DenyReason::NotYetActive);
        }
        if user.expiration.is_some_and(|expiration| now >= expiration) {
            return Some(DenyReason::Expired);
        }
        let mut nearest = DenyReason::NoRight;
        for rule in self.matching(&user, door, zones) {
            match self.rules[rule as usize].deny(now, timetables) {
                None => return None,
                Some(reason) => nearest = nearest.max(reason),
            }
        }
        Some(nearest)
    }

    /// The rules of all permissions that lead from `user` to `door`, which is in `zones`.
    fn matching(&self, user: &UserRow, door: u16, zones: List) -> impl Iterator<Item = u32> {
        let groups = self.lists.entries(user.groups);
        let of_groups = groups.map(|(group, _)| {
            let row = self.groups[usize::from(group)];
            (row.doors, row.zones)
        });
        std::iter::once((user.doors, user.zones))
            .chain(of_groups)
            .flat_map(move |(permitted_doors, permitted_zones)| {
                let direct = self.lists.rules_of(permitted_doors, door);
                let zoned = self.lists.entries(zones);
                let zoned =
                    zoned.flat_map(move |(zone, _)| self.lists.rules_of(permitted_zones, zone));
                direct.chain(zoned)
            })
    }
}

#[cfg(test)]
mod tests;
