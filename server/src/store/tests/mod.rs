//! Tests of the store as a whole.

mod basics;
mod erase;
mod fixture;
mod measure;
