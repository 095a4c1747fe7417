//! Tests of the audit as a whole.

mod basics;
mod fixture;
mod full_disk;
mod limits;
mod measure;
mod model;
