//! Updates: a signed manifest says which files there are; files are fetched by ranges and checked
//! before anything is touched.

pub mod fetch;
pub mod manifest;

pub use fetch::{FetchError, fetch};
pub use manifest::{File, Manifest, Present, Role, UpdateError, Version};
