//! A made-up site: users, doors, zones, groups and who may what.

use std::collections::BTreeMap;

use crate::latency::Random;

/// How a site is made up.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Users, numbered from 0.
    pub users: usize,
    /// Doors, numbered from 0.
    pub doors: usize,
    /// Zones; each door is in one or two.
    pub zones: usize,
    /// Groups.
    pub groups: usize,
    /// Everything made up comes from this.
    pub seed: u64,
    /// `ExtUserID`s: `{n}` is the number, `{hex}` 32 hex digits made up from it.
    pub user_id: String,
    /// `ExtDoorID`s, in the same way; `{n}` counts from 20001.
    pub door_id: String,
    /// Who may what.
    pub rights: RightsMode,
    /// How answers are written.
    pub style: Style,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            users: 100,
            doors: 20,
            zones: 4,
            groups: 5,
            seed: 1,
            user_id: "{hex}".into(),
            door_id: "{n}".into(),
            rights: RightsMode::All,
            style: Style::Plain,
        }
    }
}

/// Who may what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsMode {
    /// Everybody every door, always: each user is in one group, which may all zones.
    All,
    /// Some direct doors, zones and groups for each; one user in a hundred banned, one expired,
    /// some rights with a period or a timezone table.
    Mixed,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// UTF-8, nothing padded.
    Plain,
    /// ISO-8859-1, single quotes, blanks and newlines around text, unknown elements, unpadded
    /// dates, hour 24.
    Odd,
}

/// A right to a door or a zone.
#[derive(Clone, Debug)]
pub(crate) struct Permission {
    pub(crate) target: String,
    pub(crate) timezone: u32,
    pub(crate) period: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: String,
    pub(crate) is_banned: bool,
    pub(crate) expiration: Option<&'static str>,
    pub(crate) doors: Vec<Permission>,
    pub(crate) zones: Vec<Permission>,
    pub(crate) groups: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) name: String,
    pub(crate) zones: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) doors: Vec<Permission>,
    pub(crate) zones: Vec<Permission>,
}

/// The site now.
#[derive(Debug)]
pub(crate) struct Site {
    config: SiteConfig,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) doors: BTreeMap<String, Door>,
    pub(crate) zones: Vec<String>,
    pub(crate) groups: BTreeMap<String, Group>,
}

impl Site {
    pub(crate) fn new(config: &SiteConfig) -> Self {
        let mut random = Random::new(config.seed);
        let zones: Vec<_> = (1..=config.zones)
            .map(|number| format!("Z{number:04}"))
            .collect();
        let doors: BTreeMap<_, _> = (0..config.doors)
            .map(|number| (config.door(number), door(number, &zones, &mut random)))
            .collect();
        let ids: Vec<_> = doors.keys().cloned().collect();
        let groups = (1..=config.groups.max(1))
            .map(|number| {
                (
                    format!("G{number:04}"),
                    group(config.rights, &ids, &zones, &mut random),
                )
            })
            .collect();
        let mut site = Self {
            config: config.clone(),
            users: BTreeMap::new(),
            doors,
            zones,
            groups,
        };
        for number in 0..config.users {
            site.add_user(number, &ids, &mut random);
        }
        site
    }

    pub(crate) fn style(&self) -> Style {
        self.config.style
    }

    /// Bans or unbans. False when there is no such user.
    pub(crate) fn ban(&mut self, id: &str, is_banned: bool) -> bool {
        let user = self.users.get_mut(id);
        user.map(|user| user.is_banned = is_banned).is_some()
    }

    /// Removes the first `count` users; returns how many there were.
    pub(crate) fn remove_first(&mut self, count: usize) -> usize {
        let ids: Vec<_> = self.users.keys().take(count).cloned().collect();
        for id in &ids {
            self.users.remove(id);
        }
        ids.len()
    }

    /// As it was at the start.
    pub(crate) fn restore(&mut self) {
        *self = Self::new(&self.config);
    }

    fn add_user(&mut self, number: usize, doors: &[String], random: &mut Random) {
        const FIRST: [&str; 8] = [
            "Ana",
            "Bj\u{f6}rn",
            "Chlo\u{e9}",
            "Dai",
            "Eva",
            "Finn",
            "Gil",
            "Ida",
        ];
        const LAST: [&str; 8] = [
            "Garc\u{ed}a",
            "Holm",
            "Ibarra",
            "Jansen",
            "Kaya",
            "L\u{f3}pez",
            "Meyer",
            "Novak",
        ];
        let mut user = User {
            first_name: FIRST[random.below(FIRST.len())].into(),
            last_name: LAST[random.below(LAST.len())].into(),
            email: format!("person{number}@example.org"),
            ..User::default()
        };
        let groups = self.groups.len();
        let group = |place: usize| format!("G{:04}", place + 1);
        match self.config.rights {
            RightsMode::All => user.groups.push(group(number % groups)),
            RightsMode::Mixed => {
                user.is_banned = random.below(100) == 0;
                user.expiration = (random.below(100) == 0).then_some("2020-01-01T00:00:00");
                user.doors = some(doors, 3, random);
                user.zones = some(&self.zones, 2, random);
                user.groups = (0..=random.below(2))
                    .map(|_| group(random.below(groups)))
                    .collect();
                user.groups.dedup();
            }
        }
        self.users.insert(self.config.user(number), user);
    }
}

impl SiteConfig {
    /// The `ExtUserID` of user `number`.
    #[must_use]
    pub fn user(&self, number: usize) -> String {
        named(&self.user_id, number, number, self.seed)
    }

    /// The `ExtDoorID` of door `number`.
    #[must_use]
    pub fn door(&self, number: usize) -> String {
        named(&self.door_id, number, number + 20_001, self.seed ^ 0xD00D)
    }
}

fn named(pattern: &str, number: usize, shown: usize, seed: u64) -> String {
    let mut random = Random::new(seed.wrapping_add((number as u64) << 20));
    let hex = format!("{:016X}{:016X}", random.next(), random.next());
    pattern
        .replace("{n}", &shown.to_string())
        .replace("{n8}", &format!("{shown:08}"))
        .replace("{hex}", &hex)
}

fn door(number: usize, zones: &[String], random: &mut Random) -> Door {
    let mut of_door = Vec::new();
    if let Some(first) = zones.get(number % zones.len().max(1)) {
        of_door.push(first.clone());
        let second = &zones[random.below(zones.len())];
        if second != first {
            of_door.push(second.clone());
        }
    }
    Door {
        name: format!("Door {} & <{}>", number + 1, number % 7),
        zones: of_door,
    }
}

fn group(mode: RightsMode, doors: &[String], zones: &[String], random: &mut Random) -> Group {
    let always = |target: &String| Permission {
        target: target.clone(),
        timezone: 0,
        period: None,
    };
    match mode {
        // Without zones the doors themselves.
        RightsMode::All if zones.is_empty() => Group {
            doors: doors.iter().map(always).collect(),
            zones: Vec::new(),
        },
        RightsMode::All => Group {
            doors: Vec::new(),
            zones: zones.iter().map(always).collect(),
        },
        RightsMode::Mixed => Group {
            doors: some(doors, 5, random),
            zones: some(zones, 3, random),
        },
    }
}

/// Up to `most` permissions, without two for the same target.
fn some(targets: &[String], most: usize, random: &mut Random) -> Vec<Permission> {
    if targets.is_empty() {
        return Vec::new();
    }
    let mut permissions: Vec<Permission> = Vec::new();
    for _ in 0..random.below(most + 1) {
        let target = targets[random.below(targets.len())].clone();
        if permissions
            .iter()
            .any(|permission| permission.target == target)
        {
            continue;
        }
        let timezone = if random.below(50) == 0 {
            1 + random.below(3) as u32
        } else {
            0
        };
        let period = match random.below(50) {
            0 => Some(("2020-01-01T00:00:00", "2020-12-31T00:00:00")),
            1 => Some(("2020-01-01T00:00:00", "2099-12-31T00:00:00")),
            _ => None,
        };
        permissions.push(Permission {
            target,
            timezone,
            period,
        });
    }
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_follows_its_seed() {
        let config = SiteConfig {
            rights: RightsMode::Mixed,
            ..SiteConfig::default()
        };
        let shown = |config: &SiteConfig| format!("{:?}", Site::new(config).users);
        assert_eq!(shown(&config), shown(&config));
        assert_ne!(
            shown(&config),
            shown(&SiteConfig {
                seed: 2,
                ..config.clone()
            })
        );
        assert_eq!(Site::new(&config).users.len(), config.users);
        let named = SiteConfig {
            user_id: "P{n}".into(),
            ..config
        };
        assert!(Site::new(&named).users.contains_key("P99"));
        assert_eq!(named.door(0), "20001");
    }
}
