//! Tests of the store as a whole.

mod basics;
mod crash;
mod damage;
mod erase;
mod fixture;
mod full_disk;
mod limits;
mod measure;
mod model;
mod torn_log;
