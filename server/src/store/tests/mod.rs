//! Tests of the store as a whole.

mod backup;
mod basics;
mod crash;
mod damage;
mod devices;
mod enrolment;
mod erase;
mod fixture;
mod full_disk;
mod limits;
mod measure;
mod migrate;
mod model;
mod outbox;
mod plans;
mod space;
mod torn_log;

impl super::Store {
    /// For tests elsewhere, which do not name the database.
    pub(crate) fn run_sql(&self, sql: &str) {
        self.reader
            .db
            .execute_batch(sql)
            .expect("it fits the schema");
    }
}
