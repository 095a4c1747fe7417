//! What each target promises.

pub(crate) mod connect;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod space;
pub(crate) mod wire;
