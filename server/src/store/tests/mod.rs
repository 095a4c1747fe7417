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
