//! Plans against a Space that is a list and a page size.

use super::*;
use crate::datetime::LocalDateTime;
use crate::limits::VANISHED_PERCENT_MAX;
use crate::rights::{Decision, Timetables};

fn id(text: &str) -> ExtId {
    ExtId::parse(text).unwrap()
}

fn answer(
    request: &Request,
    list: &str,
    item: &str,
    field: &str,
    ids: &[String],
    eof: &str,
) -> String {
    let items: String = ids
        .iter()
        .map(|id| format!("<{item}><{field}>{id}</{field}></{item}>"))
        .collect();
    format!(
        "<RequestResponse><RequestName>{}</RequestName><Params>{eof}<{list}>{items}</{list}>\
         </Params></RequestResponse>",
        request.name()
    )
}

/// How the pretended Space pages.
#[derive(Clone, Copy)]
enum Paging {
    Exclusive,
    Inclusive,
    IgnoresStart,
    NoEof,
}

/// Answers `request` from `users`; doors, zones and groups are one page each.
fn space(users: &[String], paging: Paging, request: &Request) -> String {
    match request {
        Request::ReadUsers { count, after } => {
            let start = match (after, paging) {
                (None, _) | (_, Paging::IgnoresStart) => 0,
                (Some(after), _) => {
                    let place = users
                        .iter()
                        .position(|user| user == after.as_str())
                        .unwrap();
                    place + usize::from(!matches!(paging, Paging::Inclusive))
                }
            };
            let end = (start + *count as usize).min(users.len());
            let eof = match paging {
                Paging::NoEof => "",
                _ if end == users.len() => "<EOF>1</EOF>",
                _ => "<EOF>0</EOF>",
            };
            let page = &users[start..end];
            answer(
                request,
                "SaltoDBUserList",
                "SaltoDBUser",
                "ExtUserID",
                page,
                eof,
            )
        }
        Request::ReadDoors { .. } => answer(
            request,
            "SaltoDBDoorList",
            "SaltoDBDoor",
            "ExtDoorID",
            &["d".into()],
            "",
        ),
        Request::ReadZones { .. } => answer(
            request,
            "SaltoDBZoneList",
            "SaltoDBZone",
            "ExtZoneID",
            &[],
            "",
        ),
        Request::ReadGroups { .. } => exception(request, 502),
        other => panic!("{other:?}"),
    }
}

fn exception(request: &Request, code: i32) -> String {
    format!(
        "<RequestResponse><RequestName>{}</RequestName><Exception><Code>{code}</Code></Exception>\
         </RequestResponse>",
        request.name()
    )
}

fn run(page_size: u32, mut space: impl FnMut(&Request) -> String) -> Result<Snapshot, SyncError> {
    let mut plan = Plan::new(SyncOptions {
        page_size,
        email_field: Some(2),
    });
    loop {
        let body = space(plan.request());
        match plan.accept(body.as_bytes())? {
            Progress::More(more) => plan = *more,
            Progress::Done(snapshot) => return Ok(*snapshot),
        }
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("u{number:04}")).collect()
}

fn people(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .people
        .iter()
        .map(|person| person.id.to_string())
        .collect()
}

#[test]
fn all_pages_are_read_whether_the_start_is_exclusive_or_not() {
    for count in [0, 1, 9, 10, 11, 25] {
        for paging in [Paging::Exclusive, Paging::Inclusive] {
            let snapshot = run(10, |request| space(&names(count), paging, request)).unwrap();
            assert_eq!(people(&snapshot), names(count));
            assert_eq!(snapshot.notes.unknown_commands, ["SaltoDBGroupList.Read"]);
        }
    }
}

#[test]
fn a_page_of_one_with_an_inclusive_start_ends() {
    let snapshot = run(1, |request| space(&names(3), Paging::Inclusive, request)).unwrap();
    assert_eq!(people(&snapshot), names(1));
}

#[test]
fn a_space_that_always_sends_the_first_page_is_left_when_nothing_is_new() {
    let mut calls = 0;
    let snapshot = run(10, |request| {
        calls += 1;
        space(&names(25), Paging::IgnoresStart, request)
    });
    assert_eq!(people(&snapshot.unwrap()), names(10));
    assert_eq!(calls, 2 + 3);
}

#[test]
fn a_missing_eof_is_the_last_page() {
    let snapshot = run(10, |request| space(&names(25), Paging::NoEof, request)).unwrap();
    assert_eq!(people(&snapshot), names(10));
}

#[test]
fn a_failure_at_any_page_brings_nothing() {
    let whole = run(10, |request| space(&names(25), Paging::Exclusive, request)).unwrap();
    for failing in 0..whole.notes.calls - 1 {
        let mut call = 0;
        let outcome = run(10, |request| {
            call += 1;
            let body = space(&names(25), Paging::Exclusive, request);
            if call - 1 == failing {
                body[..body.len() / 2].to_owned()
            } else {
                body
            }
        });
        assert!(
            matches!(outcome, Err(SyncError::Reply { .. })),
            "call {failing}"
        );
    }
    let refused = run(10, |request| exception(request, 502));
    assert!(matches!(
        refused,
        Err(SyncError::Reply {
            request: "SaltoDBUserList.Read",
            ..
        })
    ));
}

#[test]
fn pages_without_end_are_left() {
    let mut number = 0;
    let endless = run(1, |request| {
        number += 1;
        let page = [number.to_string()];
        let eof = "<EOF>0</EOF>";
        answer(
            request,
            "SaltoDBUserList",
            "SaltoDBUser",
            "ExtUserID",
            &page,
            eof,
        )
    });
    assert_eq!(endless.unwrap_err(), SyncError::TooManyCalls);
    assert_eq!(number, SYNC_CALLS_MAX + 1);
}

#[test]
fn rights_e_mail_and_oddities_arrive_in_the_snapshot() {
    let user = "<SaltoDBUser><ExtUserID>a</ExtUserID><GPF2> a@example.org </GPF2>\
                <SaltoDB.AccessPermissionList.User_Door><SaltoDB.AccessPermission.User_Door>\
                <ExtDoorID>d</ExtDoorID></SaltoDB.AccessPermission.User_Door>\
                </SaltoDB.AccessPermissionList.User_Door></SaltoDBUser><SaltoDBUser/>\
                <SaltoDBUser><ExtUserID>b</ExtUserID><IsBanned>?</IsBanned></SaltoDBUser>";
    let snapshot = run(10, |request| {
        space(&[], Paging::Exclusive, request)
            .replace("<SaltoDBUserList>", &format!("<SaltoDBUserList>{user}"))
    })
    .unwrap();
    assert_eq!(snapshot.people[0].email.as_deref(), Some("a@example.org"));
    assert_eq!(snapshot.people[1].email, None);
    assert_eq!((snapshot.notes.nameless, snapshot.notes.unreadable), (1, 1));
    let now = LocalDateTime::at(0, 0);
    let decision = snapshot
        .rights
        .decide(&id("a"), &id("d"), now, &Timetables::default());
    assert_eq!(decision, Decision::Permit);
    assert_eq!(snapshot.doors[0].id, id("d"));
}

fn known(snapshot: &Snapshot) -> Vec<(ExtId, u64)> {
    snapshot
        .people
        .iter()
        .map(|person| (person.id.clone(), person.digest))
        .collect()
}

#[test]
fn the_difference_names_who_came_changed_and_went() {
    let read =
        |users: &[String]| run(100, |request| space(users, Paging::Exclusive, request)).unwrap();
    let before = read(&names(40));
    assert_eq!(difference(&known(&before), &before).changed, []);
    let mut users = names(41);
    users.remove(3);
    users.remove(0);
    let mut after = read(&users);
    after.people[5].digest ^= 1;
    let difference = difference(&known(&before), &after);
    assert_eq!(difference.gone, [id("u0000"), id("u0003")]);
    assert_eq!(difference.added, [id("u0040")]);
    assert_eq!(difference.changed, [after.people[5].id.clone()]);
    // 2 of 40 are exactly 5 %.
    assert_eq!(difference.erasure, Erasure::Scheduled);
}

#[test]
fn more_than_five_percent_at_once_wait_for_an_administrator() {
    let read = |count: usize| {
        run(1_000, |request| {
            space(&names(count), Paging::Exclusive, request)
        })
        .unwrap()
    };
    let before = known(&read(100));
    assert_eq!(
        difference(&before, &read(100 - VANISHED_PERCENT_MAX)).erasure,
        Erasure::Scheduled
    );
    let more = difference(&before, &read(99 - VANISHED_PERCENT_MAX));
    assert_eq!(
        (more.erasure, more.gone.len()),
        (Erasure::Held, VANISHED_PERCENT_MAX + 1)
    );
    assert_eq!(difference(&before, &read(0)).erasure, Erasure::Held);
    assert_eq!(difference(&[], &read(5)).erasure, Erasure::Scheduled);
}

#[test]
fn any_change_of_a_record_changes_its_digest() {
    let read = |fields: &str| {
        let user = format!("<SaltoDBUser><ExtUserID>a</ExtUserID>{fields}</SaltoDBUser>");
        let list = format!("<SaltoDBUserList>{user}");
        let snapshot = run(10, |request| {
            space(&[], Paging::Exclusive, request).replace("<SaltoDBUserList>", &list)
        });
        snapshot.unwrap().people[0].digest
    };
    let zone = |fields: &str| {
        format!(
            "<SaltoDB.AccessPermissionList.User_Zone><SaltoDB.AccessPermission.User_Zone>\
             <ExtZoneID>z</ExtZoneID>{fields}</SaltoDB.AccessPermission.User_Zone>\
             </SaltoDB.AccessPermissionList.User_Zone>"
        )
    };
    let variants = [
        read(""),
        read("<Title>x</Title>"),
        read("<FirstName>x</FirstName>"),
        read("<LastName>x</LastName>"),
        read("<GPF5>x</GPF5>"),
        read("<IsBanned>1</IsBanned>"),
        read("<UserActivation>2023-10-29T24:00:00</UserActivation>"),
        read(&zone("")),
        read(&zone("<TimezoneTableID>1</TimezoneTableID>")),
        read(
            &zone("")
                .replace("User_Zone", "User_Door")
                .replace("ExtZoneID", "ExtDoorID"),
        ),
    ];
    let different: HashSet<u64> = variants.into_iter().collect();
    assert_eq!(different.len(), variants.len());
    assert_eq!(read("<Unknown>1</Unknown>"), read(""));
}
