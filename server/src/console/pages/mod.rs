//! The pages. To add one: a file here with `ROUTES`, its name below, a template, its texts.

mod account;
mod dashboard;
pub mod problem;
mod sign_in;

use super::route::Route;

const ALL: &[&[Route]] = &[account::ROUTES, dashboard::ROUTES, sign_in::ROUTES];

/// Every route that is a page.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    ALL.iter().flat_map(|routes| routes.iter())
}
