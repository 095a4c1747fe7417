//! Tests of the audit as a whole.

mod basics;
mod fixture;
mod measure;
