//! Whole syncs against the simulated Space, in plain and in odd writing.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use cardea_space::datetime::LocalDateTime;
use cardea_space::ext_id::ExtId;
use cardea_space::rights::{Decision, DenyReason, Timetables};
use cardea_space::sync::{Erasure, Snapshot, SyncOptions, difference};
use cardea_space_sim::site::{RightsMode, SiteConfig, Style};
use cardea_space_sim::{SimConfig, Simulator};
use common::{config, https, ready, simulator, tcp};

fn decide(snapshot: &Snapshot, person: &str, door: &str) -> Decision {
    let now = LocalDateTime::parse("2023-10-30T12:00:00").unwrap();
    let (person, door) = (ExtId::parse(person).unwrap(), ExtId::parse(door).unwrap());
    snapshot
        .rights
        .decide(&person, &door, now, &Timetables::default())
}

fn mixed(style: Style) -> Simulator {
    let site = SiteConfig {
        users: 300,
        doors: 40,
        zones: 6,
        groups: 8,
        rights: RightsMode::Mixed,
        style,
        ..SiteConfig::default()
    };
    Simulator::start(SimConfig {
        site,
        ..SimConfig::default()
    })
    .unwrap()
}

fn read(simulator: Simulator, page_size: u32, over_tcp: bool) -> std::sync::Arc<Snapshot> {
    let endpoint = if over_tcp {
        tcp(&simulator)
    } else {
        https(&simulator)
    };
    let mut config = config(endpoint);
    config.sync = SyncOptions {
        page_size,
        email_field: Some(1),
    };
    ready(simulator, config).1
}

#[test]
fn the_same_site_is_read_from_any_writing_page_size_and_transport() {
    let plain = read(mixed(Style::Plain), 10_000, false);
    assert_eq!((plain.people.len(), plain.doors.len()), (300, 40));
    assert_eq!(
        plain.people[0]
            .email
            .as_deref()
            .map(|email| email.contains('@')),
        Some(true)
    );
    let umlaut = plain
        .people
        .iter()
        .any(|person| person.first_name == "Bj\u{f6}rn");
    assert!(umlaut);
    for (style, page_size, over_tcp) in [
        (Style::Odd, 10_000, false),
        (Style::Plain, 7, false),
        (Style::Odd, 100, true),
    ] {
        let other = read(mixed(style), page_size, over_tcp);
        assert_eq!(other.people, plain.people, "{style:?} {page_size}");
        assert_eq!(other.doors, plain.doors, "{style:?} {page_size}");
        for person in &plain.people {
            for door in &plain.doors {
                let (person, door) = (person.id.as_str(), door.id.as_str());
                assert_eq!(decide(&other, person, door), decide(&plain, person, door));
            }
        }
    }
}

#[test]
fn who_is_banned_or_gone_has_no_right_from_the_next_sync_on() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let (site, first) = ready(simulator, config(endpoint));
    let [one, other] = [&first.people[0].id, &first.people[1].id];
    assert_eq!(decide(&first, one.as_str(), "20001"), Decision::Permit);
    site.execute(&format!("ban {one}"));
    site.execute(&format!("remove {other}"));
    site.client.sync_now();
    let second = site.synced();
    assert_eq!(
        decide(&second, one.as_str(), "20001"),
        Decision::Deny(DenyReason::Banned)
    );
    let gone = Decision::Deny(DenyReason::UnknownPerson);
    assert_eq!(decide(&second, other.as_str(), "20001"), gone);
    let known: Vec<_> = first
        .people
        .iter()
        .map(|p| (p.id.clone(), p.digest))
        .collect();
    let changes = difference(&known, &second);
    assert_eq!(
        (changes.changed.as_slice(), changes.gone.as_slice()),
        ([one.clone()].as_slice(), [other.clone()].as_slice())
    );
    assert_eq!(changes.erasure, Erasure::Scheduled);
    site.execute("remove-first 50");
    site.client.sync_now();
    assert_eq!(difference(&known, &site.synced()).erasure, Erasure::Held);
}

#[test]
fn a_sync_that_fails_at_any_page_changes_nothing_and_says_why() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let mut config = config(endpoint);
    config.sync.page_size = 30;
    let (site, _) = ready(simulator, config);
    // 4 pages of users, then doors, zones, groups.
    for (page, fault) in [
        "half-page",
        "garbage",
        "exception:1",
        "500",
        "wrong-length",
        "doctype",
        "lost-reply",
    ]
    .iter()
    .enumerate()
    {
        site.execute(&format!("fault {fault} on=list skip={page} count=2"));
        site.client.sync_now();
        let why = site.sync_failed();
        assert!(why.contains("List.Read"), "{fault} at page {page}: {why}");
        let syncs = site.client.sync_status();
        assert_eq!(syncs.failure, Some(why));
        assert!(syncs.last_good_unix_s.is_some());
        site.execute("clear");
    }
    site.client.sync_now();
    assert_eq!(site.synced().people.len(), 100);
    assert_eq!(site.client.sync_status().failure, None);
}

#[test]
fn fifty_thousand_users_with_five_hundred_doors_are_read_in_time() {
    let site = SiteConfig {
        users: 50_000,
        doors: 500,
        zones: 20,
        groups: 50,
        rights: RightsMode::Mixed,
        ..SiteConfig::default()
    };
    let simulator = Simulator::start(SimConfig {
        site,
        ..SimConfig::default()
    })
    .unwrap();
    let began = Instant::now();
    let snapshot = read(simulator, 2_000, false);
    assert_eq!((snapshot.people.len(), snapshot.doors.len()), (50_000, 500));
    assert!(
        snapshot.rights.memory_bytes() < 32 << 20,
        "{}",
        snapshot.rights.memory_bytes()
    );
    // The promise is 60 s; on a machine that does nothing else it takes about two.
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}
