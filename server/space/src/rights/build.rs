//! Builds a [`Rights`] from the records of one sync, in any order.

use std::collections::HashMap;
use std::fmt;

use super::lists::{Ids, List, ListsBuilder};
use super::{GroupRow, Rights, Rule, UserRow};
use crate::ext_id::ExtId;
use crate::limits::{PERMISSIONS_MAX, TARGETS_MAX, USERS_MAX};
use crate::message::{Door, Group, Permission, User, Zone};

/// A site has more of something than this server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// More than [`USERS_MAX`].
    Users,
    /// More than [`TARGETS_MAX`] doors, zones or groups.
    Targets,
    /// More than [`PERMISSIONS_MAX`].
    Permissions,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users => write!(f, "more than {USERS_MAX} users"),
            Self::Targets => write!(f, "more than {TARGETS_MAX} doors, zones or groups"),
            Self::Permissions => write!(f, "more than {PERMISSIONS_MAX} permissions"),
        }
    }
}

impl std::error::Error for TooMany {}

/// Numbers for identifiers, in order of appearance.
#[derive(Debug, Default)]
struct Numbers(HashMap<ExtId, u16>);

impl Numbers {
    fn of(&mut self, id: &ExtId) -> Result<u16, TooMany> {
        if let Some(&number) = self.0.get(id) {
            return Ok(number);
        }
        if self.0.len() == TARGETS_MAX {
            return Err(TooMany::Targets);
        }
        let number = u16::try_from(self.0.len()).map_err(|_| TooMany::Targets)?;
        self.0.insert(id.clone(), number);
        Ok(number)
    }
}

/// Collects users, doors, zones and groups.
///
/// A user, door or group that is added twice counts as it was added first.
#[derive(Debug, Default)]
pub struct RightsBuilder {
    users: HashMap<ExtId, UserRow>,
    doors: Numbers,
    zones: Numbers,
    groups: Numbers,
    listed_doors: HashMap<u16, ()>,
    door_zones: Vec<(u16, u16)>,
    group_rows: HashMap<u16, GroupRow>,
    rules: Vec<Rule>,
    rule_numbers: HashMap<Rule, u32>,
    lists: ListsBuilder,
}

impl RightsBuilder {
    /// Adds a user with everything permitted to him. False when he was there already.
    ///
    /// # Errors
    /// [`TooMany`], and the builder must not be used further.
    pub fn add_user(&mut self, user: &User) -> Result<bool, TooMany> {
        if self.users.contains_key(&user.id) {
            return Ok(false);
        }
        if self.users.len() == USERS_MAX {
            return Err(TooMany::Users);
        }
        let mut groups = Vec::with_capacity(user.groups.len());
        for group in &user.groups {
            groups.push((self.groups.of(group)?, 0));
        }
        let row = UserRow {
            is_banned: user.is_banned,
            is_unreadable: user.unreadable.is_some(),
            activation: user.activation,
            expiration: user.expiration,
            doors: self.permissions(&user.doors, Target::Door)?,
            zones: self.permissions(&user.zones, Target::Zone)?,
            groups: self.list(groups)?,
        };
        self.users.insert(user.id.clone(), row);
        Ok(true)
    }

    /// Adds a door and the zones it is in. False when it was there already.
    ///
    /// # Errors
    /// [`TooMany`], and the builder must not be used further.
    pub fn add_door(&mut self, door: &Door) -> Result<bool, TooMany> {
        let number = self.doors.of(&door.id)?;
        if self.listed_doors.insert(number, ()).is_some() {
            return Ok(false);
        }
        for zone in &door.zones {
            let zone = self.zones.of(zone)?;
            self.door_zones.push((number, zone));
        }
        Ok(true)
    }

    /// Adds the doors of a zone.
    ///
    /// # Errors
    /// [`TooMany`], and the builder must not be used further.
    pub fn add_zone(&mut self, zone: &Zone) -> Result<(), TooMany> {
        let number = self.zones.of(&zone.id)?;
        for door in &zone.doors {
            let door = self.doors.of(door)?;
            self.door_zones.push((door, number));
        }
        Ok(())
    }

    /// Adds what is permitted to a group's members. False when it was there already.
    ///
    /// # Errors
    /// [`TooMany`], and the builder must not be used further.
    pub fn add_group(&mut self, group: &Group) -> Result<bool, TooMany> {
        let number = self.groups.of(&group.id)?;
        if self.group_rows.contains_key(&number) {
            return Ok(false);
        }
        let row = GroupRow {
            doors: self.permissions(&group.doors, Target::Door)?,
            zones: self.permissions(&group.zones, Target::Zone)?,
        };
        self.group_rows.insert(number, row);
        Ok(true)
    }

    /// The whole.
    ///
    /// # Errors
    /// [`TooMany::Permissions`].
    pub fn finish(mut self) -> Result<Rights, TooMany> {
        let nothing = self.list(Vec::new())?;
        let empty = GroupRow {
            doors: nothing,
            zones: nothing,
        };
        let groups = (0..self.groups.0.len())
            .map(|number| u16::try_from(number).ok())
            .map(|number| number.and_then(|number| self.group_rows.get(&number)))
            .map(|row| row.copied().unwrap_or(empty))
            .collect();

        let mut zones_of: Vec<Vec<(u16, u32)>> = vec![Vec::new(); self.doors.0.len()];
        for (door, zone) in std::mem::take(&mut self.door_zones) {
            zones_of[usize::from(door)].push((zone, 0));
        }
        let mut door_zones = vec![None; zones_of.len()];
        for (door, zones) in (0u16..).zip(zones_of) {
            if self.listed_doors.contains_key(&door) {
                door_zones[usize::from(door)] = Some(self.list(zones)?);
            }
        }

        let mut users: Vec<_> = self.users.into_iter().collect();
        users.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut doors: Vec<_> = self.doors.0.into_iter().collect();
        doors.sort_unstable();
        Ok(Rights {
            users: Ids::from_sorted(users.iter().map(|(id, _)| id)),
            user_rows: users.into_iter().map(|(_, row)| row).collect(),
            door_rows: doors.iter().map(|&(_, number)| number).collect(),
            doors: Ids::from_sorted(doors.iter().map(|(id, _)| id)),
            door_zones,
            groups,
            rules: self.rules,
            lists: self.lists.finish(),
        })
    }

    fn permissions(&mut self, all: &[Permission], target: Target) -> Result<List, TooMany> {
        let mut entries = Vec::with_capacity(all.len());
        for permission in all {
            let numbers = match target {
                Target::Door => &mut self.doors,
                Target::Zone => &mut self.zones,
            };
            let number = numbers.of(&permission.target)?;
            let rule = Rule {
                timezone_table: permission.timezone_table,
                period: permission.period,
            };
            entries.push((number, self.rule(rule)?));
        }
        self.list(entries)
    }

    fn rule(&mut self, rule: Rule) -> Result<u32, TooMany> {
        if let Some(&number) = self.rule_numbers.get(&rule) {
            return Ok(number);
        }
        let number = u32::try_from(self.rules.len()).map_err(|_| TooMany::Permissions)?;
        self.rules.push(rule);
        self.rule_numbers.insert(rule, number);
        Ok(number)
    }

    fn list(&mut self, entries: Vec<(u16, u32)>) -> Result<List, TooMany> {
        self.lists
            .add(entries, PERMISSIONS_MAX)
            .ok_or(TooMany::Permissions)
    }
}

#[derive(Clone, Copy)]
enum Target {
    Door,
    Zone,
}
