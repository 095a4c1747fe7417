//! What the console's lists read of a large site: as many steps as the page has rows, however many
//! people there are. Counted by SQLite itself.

use rusqlite::{Connection, StatementStatus};

use super::fixture::Fixture;
use crate::store::enrolments::enrolments_sql;
use crate::store::person::page_sql;
use crate::store::{PeopleFilter, PersonId};

const ROWS: usize = 50;

/// A store with so many people, one in a hundred of them to enrol.
fn site_of(people: u32) -> Fixture {
    let fixture = Fixture::new();
    let other = Connection::open(fixture.folder.path().join("store.db")).expect("the store");
    other
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO people(external_id, name, name_folded, state, every_door, created, import)
             SELECT printf('P-%06d', i), 'Name ' || i, 'name ' || i, iif(i % 100 = 0, 1, 2), 0, 0, 0
             FROM n",
            [people],
        )
        .expect("people");
    fixture
}

/// Steps of SQLite's machine, rows walked without an index, and sorts, of one run of `sql`.
fn cost(fixture: &Fixture, sql: &str, run: impl FnOnce()) -> [i32; 3] {
    let statuses = [
        StatementStatus::VmStep,
        StatementStatus::FullscanStep,
        StatementStatus::Sort,
    ];
    // The connection keeps the statement, and it its counts.
    let counted = || {
        let statement = fixture.store.read().db.prepare_cached(sql);
        let statement = statement.expect("a statement");
        statuses.map(|status| statement.get_status(status))
    };
    let before = counted();
    run();
    let after = counted();
    std::array::from_fn(|place| after[place] - before[place])
}

/// A search in the middle of names, `people_by_name` taken away, or the list of who is to enrol
/// read from all people fails this.
#[test]
fn a_page_costs_the_same_at_1_000_people_and_at_20_000() {
    let (small, large) = (site_of(1_000), site_of(20_000));
    let search = |fixture: &Fixture| {
        cost(fixture, &page_sql("name_folded"), || {
            let filter = PeopleFilter::Name("name 77".to_owned());
            let page = fixture.store.read().people_page(&filter, None, ROWS);
            assert!(!page.expect("a page").people.is_empty());
        })
    };
    let by_id = |fixture: &Fixture| {
        cost(fixture, &page_sql("external_id"), || {
            let filter = PeopleFilter::ExternalId("P-0005".to_owned());
            let page = fixture.store.read().people_page(&filter, None, ROWS);
            assert_eq!(page.expect("a page").people.len(), ROWS);
        })
    };
    let to_enrol = |fixture: &Fixture| {
        cost(fixture, &enrolments_sql(), || {
            let page = fixture
                .store
                .read()
                .enrolments_page(Some(PersonId(300)), 5, 0);
            assert_eq!(page.expect("a page").len(), 5);
        })
    };
    for (what, small, large, steps) in [
        ("by name", search(&small), search(&large), 100 * ROWS),
        ("by id", by_id(&small), by_id(&large), 100 * ROWS),
        ("to enrol", to_enrol(&small), to_enrol(&large), 2_000),
    ] {
        println!("{what}: steps, full scan, sorts {small:?} of 1,000; {large:?} of 20,000");
        assert!(large[0] > 0, "{what}: nothing was counted");
        assert!((large[0] as usize) < steps, "{what}: {large:?}");
        assert_eq!(large[2], small[2], "{what} sorts more");
        assert!(large[1] <= small[1] + 10, "{what} walks all: {large:?}");
    }
}
