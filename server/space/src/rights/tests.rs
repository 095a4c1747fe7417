//! Every reason, the edges of every instant, and the compact form against a plain one.

use proptest::prelude::*;

use super::*;
use crate::limits::{TARGETS_MAX, USERS_MAX};
use crate::message::{Door, Group, Permission, User, Zone};

fn id(text: &str) -> ExtId {
    ExtId::parse(text).unwrap()
}

fn at(text: &str) -> LocalDateTime {
    LocalDateTime::parse(text).unwrap()
}

fn always(target: &str) -> Permission {
    Permission {
        target: id(target),
        timezone_table: 0,
        period: None,
    }
}

fn user(name: &str) -> User {
    User {
        id: id(name),
        title: String::new(),
        first_name: String::new(),
        last_name: String::new(),
        gpf: Default::default(),
        phone_number: String::new(),
        is_banned: false,
        activation: None,
        expiration: None,
        doors: Vec::new(),
        zones: Vec::new(),
        groups: Vec::new(),
        unreadable: None,
    }
}

fn door(name: &str, zones: &[&str]) -> Door {
    let zones = zones.iter().map(|zone| id(zone)).collect();
    Door {
        id: id(name),
        name: name.into(),
        description: String::new(),
        battery: None,
        zones,
    }
}

/// Doors d1 in zone z1, d2 in z2 (said by the zone's own record), d3 in none; group g1 may d3 and
/// g2 may z1.
fn site(users: &[User]) -> Rights {
    let mut builder = RightsBuilder::default();
    for user in users {
        assert!(builder.add_user(user).unwrap());
    }
    for door in [door("d1", &["z1"]), door("d2", &[]), door("d3", &[])] {
        assert!(builder.add_door(&door).unwrap());
    }
    let zone = Zone {
        id: id("z2"),
        name: String::new(),
        doors: vec![id("d2"), id("ghost")],
    };
    builder.add_zone(&zone).unwrap();
    let group = |name: &str, doors, zones| Group {
        id: id(name),
        name: "".into(),
        doors,
        zones,
    };
    assert!(
        builder
            .add_group(&group("g1", vec![always("d3")], Vec::new()))
            .unwrap()
    );
    assert!(
        builder
            .add_group(&group("g2", Vec::new(), vec![always("z1")]))
            .unwrap()
    );
    builder.finish().unwrap()
}

const NOON: &str = "2023-10-30T12:00:00";

fn ask(rights: &Rights, person: &str, door: &str, now: &str) -> Decision {
    rights.decide(&id(person), &id(door), at(now), &Timetables::default())
}

#[test]
fn direct_zone_and_group_rights_lead_to_their_doors_only() {
    let direct = User {
        doors: vec![always("d1"), always("ghost")],
        ..user("direct")
    };
    let zone = User {
        zones: vec![always("z2"), always("z9")],
        ..user("zone")
    };
    let one = User {
        groups: vec![id("g1")],
        ..user("one")
    };
    let both = User {
        groups: vec![id("g2"), id("g1"), id("g9")],
        ..user("both")
    };
    let rights = site(&[direct, zone, one, both]);
    let permitted = |person: &str| {
        let open = |door: &&str| ask(&rights, person, door, NOON) == Decision::Permit;
        ["d1", "d2", "d3"]
            .into_iter()
            .filter(open)
            .collect::<Vec<_>>()
    };
    assert_eq!(permitted("direct"), ["d1"]);
    assert_eq!(permitted("zone"), ["d2"]);
    assert_eq!(permitted("one"), ["d3"]);
    assert_eq!(permitted("both"), ["d1", "d3"]);
    assert_eq!(
        ask(&rights, "zone", "d1", NOON),
        Decision::Deny(DenyReason::NoRight)
    );
    // A door that only a permission or a zone names is none of Space's doors.
    assert_eq!(
        ask(&rights, "direct", "ghost", NOON),
        Decision::Deny(DenyReason::UnknownDoor)
    );
    assert_eq!((rights.user_count(), rights.door_count()), (4, 3));
    assert!(rights.has_user(&id("zone")) && !rights.has_user(&id("nobody")));
}

#[test]
fn unknown_banned_and_unreadable_are_denied_with_their_reason() {
    let banned = User {
        is_banned: true,
        doors: vec![always("d1")],
        ..user("banned")
    };
    let odd = User {
        unreadable: Some("IsBanned"),
        doors: vec![always("d1")],
        ..user("odd")
    };
    let rights = site(&[banned, odd]);
    let reason = |person, door| match ask(&rights, person, door, NOON) {
        Decision::Deny(reason) => reason,
        Decision::Permit => panic!("permitted"),
    };
    assert_eq!(reason("nobody", "d1"), DenyReason::UnknownPerson);
    assert_eq!(reason("banned", "d9"), DenyReason::UnknownDoor);
    assert_eq!(reason("banned", "d1"), DenyReason::Banned);
    assert_eq!(reason("odd", "d1"), DenyReason::UnreadableRecord);
    let empty = Rights::default();
    assert_eq!(
        ask(&empty, "a", "d1", NOON),
        Decision::Deny(DenyReason::UnknownPerson)
    );
}

#[test]
fn activation_and_expiration_count_from_their_own_second() {
    let temporary = User {
        activation: Some(at("2023-10-29T24:00:00")),
        expiration: Some(at("2023-10-31T00:00:00")),
        doors: vec![always("d1")],
        ..user("t")
    };
    let rights = site(&[temporary]);
    let early = Decision::Deny(DenyReason::NotYetActive);
    assert_eq!(ask(&rights, "t", "d1", "2023-10-29T23:59:59"), early);
    assert_eq!(
        ask(&rights, "t", "d1", "2023-10-30T00:00:00"),
        Decision::Permit
    );
    assert_eq!(
        ask(&rights, "t", "d1", "2023-10-30T23:59:59"),
        Decision::Permit
    );
    let late = Decision::Deny(DenyReason::Expired);
    assert_eq!(ask(&rights, "t", "d1", "2023-10-31T00:00:00"), late);
}

#[test]
fn periods_and_timetables_bind_and_the_nearest_reason_is_given() {
    let period = Some((at("2023-10-30T10:00:00"), at("2023-10-30T14:00:00")));
    let booked = Permission {
        period,
        ..always("d1")
    };
    let hours = Permission {
        timezone_table: 3,
        ..always("z1")
    };
    let rights = site(&[
        User {
            doors: vec![booked.clone()],
            ..user("booked")
        },
        User {
            doors: vec![booked],
            zones: vec![hours],
            ..user("hours")
        },
    ]);
    let outside = Decision::Deny(DenyReason::OutsidePeriod);
    assert_eq!(ask(&rights, "booked", "d1", "2023-10-30T09:59:59"), outside);
    assert_eq!(
        ask(&rights, "booked", "d1", "2023-10-30T10:00:00"),
        Decision::Permit
    );
    assert_eq!(ask(&rights, "booked", "d1", "2023-10-30T14:00:00"), outside);
    let undescribed = Decision::Deny(DenyReason::TimetableNotDescribed { table: 3 });
    assert_eq!(
        ask(&rights, "hours", "d1", "2023-10-30T16:00:00"),
        undescribed
    );
    assert_eq!(
        ask(&rights, "hours", "d1", "2023-10-30T12:00:00"),
        Decision::Permit
    );
    let mut timetables = Timetables::default();
    timetables
        .describe(3, vec![Interval::parse("mon 15:00-17:00").unwrap()])
        .unwrap();
    let decide = |now| rights.decide(&id("hours"), &id("d1"), at(now), &timetables);
    assert_eq!(decide("2023-10-30T16:00:00"), Decision::Permit);
    let hours = Decision::Deny(DenyReason::OutsideTimetable { table: 3 });
    assert_eq!(decide("2023-10-30T17:00:00"), hours);
}

#[test]
fn what_is_added_twice_counts_once() {
    let mut builder = RightsBuilder::default();
    assert!(
        builder
            .add_user(&User {
                is_banned: true,
                ..user("a")
            })
            .unwrap()
    );
    assert!(!builder.add_user(&user("a")).unwrap());
    assert!(builder.add_door(&door("d", &["z"])).unwrap());
    assert!(!builder.add_door(&door("d", &[])).unwrap());
    let rights = builder.finish().unwrap();
    assert_eq!(
        ask(&rights, "a", "d", NOON),
        Decision::Deny(DenyReason::Banned)
    );
}

#[test]
fn numbers_beyond_the_limits_are_refused() {
    let mut builder = RightsBuilder::default();
    let doors: Vec<_> = (0..TARGETS_MAX).map(|n| always(&n.to_string())).collect();
    builder
        .add_user(&User {
            doors,
            ..user("all")
        })
        .unwrap();
    let more = User {
        doors: vec![always("one more")],
        ..user("more")
    };
    assert_eq!(builder.add_user(&more), Err(TooMany::Targets));

    let mut builder = RightsBuilder::default();
    let mut person = user("x");
    for number in 0..USERS_MAX {
        person.id = id(&number.to_string());
        builder.add_user(&person).unwrap();
    }
    person.id = id("one more");
    assert_eq!(builder.add_user(&person), Err(TooMany::Users));
    assert!(TooMany::Permissions.to_string().contains("60000000"));
}

#[test]
fn fifty_thousand_users_with_five_hundred_doors_are_small() {
    let mut builder = RightsBuilder::default();
    let doors: Vec<_> = (0..500)
        .map(|n| door(&format!("{n:032X}"), &["z"]))
        .collect();
    for door in &doors {
        builder.add_door(door).unwrap();
    }
    let all: Vec<_> = doors.iter().map(|door| always(door.id.as_str())).collect();
    for number in 0..50_000u32 {
        // A hundred different sets of rights, as of departments.
        let doors = all[..400 + (number as usize % 100)].to_vec();
        let person = User {
            doors,
            ..user(&format!("{number:032X}"))
        };
        builder.add_user(&person).unwrap();
    }
    let rights = builder.finish().unwrap();
    assert!(
        rights.memory_bytes() < 10 << 20,
        "{}",
        rights.memory_bytes()
    );
    assert_eq!(
        ask(
            &rights,
            &format!("{:032X}", 7),
            &format!("{:032X}", 406),
            NOON
        ),
        Decision::Permit
    );
    assert_eq!(
        ask(
            &rights,
            &format!("{:032X}", 7),
            &format!("{:032X}", 407),
            NOON
        ),
        Decision::Deny(DenyReason::NoRight)
    );
}

/// Whether the plain records allow it: one loop after the other.
fn plain(user: &User, door: &Door, groups: &[Group]) -> bool {
    let of_user = std::iter::once((&user.doors, &user.zones));
    let of_groups = groups
        .iter()
        .filter(|group| user.groups.contains(&group.id));
    let all = of_user.chain(of_groups.map(|group| (&group.doors, &group.zones)));
    !user.is_banned
        && all.into_iter().any(|(doors, zones)| {
            doors.iter().any(|permission| permission.target == door.id)
                || zones
                    .iter()
                    .any(|permission| door.zones.contains(&permission.target))
        })
}

fn few(prefix: &'static str) -> impl Strategy<Value = Vec<ExtId>> {
    prop::collection::vec(
        (0..4u8).prop_map(move |n| id(&format!("{prefix}{n}"))),
        0..3,
    )
}

fn permissions(prefix: &'static str) -> impl Strategy<Value = Vec<Permission>> {
    few(prefix).prop_map(|ids| ids.iter().map(|id| always(id.as_str())).collect())
}

proptest! {
    #[test]
    fn the_compact_form_decides_as_the_plain_one(
        people in prop::collection::vec(
            (permissions("d"), permissions("z"), few("g"), any::<bool>()), 1..6),
        doors in prop::collection::vec(few("z"), 1..4),
        groups in prop::collection::vec((permissions("d"), permissions("z")), 0..4),
    ) {
        let people: Vec<_> = people.into_iter().enumerate().map(|(n, (doors, zones, groups, ban))| {
            User { doors, zones, groups, is_banned: ban, ..user(&format!("u{n}")) }
        }).collect();
        let doors: Vec<_> = doors.into_iter().enumerate().map(|(n, zones)| {
            Door { zones, ..door(&format!("d{n}"), &[]) }
        }).collect();
        let groups: Vec<_> = groups.into_iter().enumerate().map(|(n, (doors, zones))| {
            Group { id: id(&format!("g{n}")), name: String::new(), doors, zones }
        }).collect();
        let mut builder = RightsBuilder::default();
        for person in &people { builder.add_user(person).unwrap(); }
        for group in &groups { builder.add_group(group).unwrap(); }
        for door in &doors { builder.add_door(door).unwrap(); }
        let rights = builder.finish().unwrap();
        for person in &people {
            for door in &doors {
                let decision = ask(&rights, person.id.as_str(), door.id.as_str(), NOON);
                prop_assert_eq!(decision == Decision::Permit, plain(person, door, &groups));
            }
        }
    }
}
