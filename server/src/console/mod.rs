//! The console, its JSON API and the people's pages, for browsers and scripts: everything under
//! `/console/`, `/api/v1/` and `/enrol/`.
//!
//! ```text
//!   loop ──bounded queue──> console threads, each with readers of its own ──> Completion::Served
//!                                     │ changes, with the name of who asks
//!                                     └──> writer ──> durable and in force ──> answer
//! ```
//!
//! No access request ever waits for a console thread; they run with less of the CPU than others.
//!
//! - `pool`: the threads and their queue
//! - `dispatch`: from a request to a route: who asks, may they, is the form theirs
//! - `call`: a request as pages see it; `form`, `multipart`: its fields; `reply`: what goes back
//! - `desk`: what a thread works with; `shared`: what they share
//! - `session`, `sign_in`, `password`, `throttle`, `csrf`: who is who
//! - `devices`, `people`, `log`, `latency`: what pages and API show of them; `imports`: of a file;
//!   `codes`, `qr`: codes for a camera; `chart`: lines and bars as SVG
//! - `team`: what pages and API do with the team and tokens
//! - `integrations`: Space, the Enrolment Service and Connect, for pages and API
//! - `language`: translations; `frame`: what is around every page; `assets`: styles and scripts
//! - `pages`: one file a page; `api`: the operations of the JSON API

mod api;
mod assets;
mod call;
mod chart;
mod codes;
mod csrf;
mod desk;
mod devices;
mod dispatch;
mod form;
mod frame;
mod imports;
mod integrations;
mod invitations;
pub mod language;
mod latency;
mod log;
mod multipart;
mod pages;
pub mod password;
mod people;
mod pool;
mod qr;
mod reply;
mod route;
mod session;
mod shared;
mod team;
mod throttle;

pub use pool::{ConsoleHandle, Job, start};
pub use reply::busy;
pub use shared::{Parts, Readers, Shared};

/// Whether a path is the console's.
#[must_use]
pub fn is_path(path: &str) -> bool {
    const PREFIXES: [&str; 4] = ["/console/", "/api/v1/", "/enrol/", "/assets/"];
    matches!(path, "/" | "/console" | "/favicon.ico")
        || PREFIXES.iter().any(|prefix| path.starts_with(prefix))
}
