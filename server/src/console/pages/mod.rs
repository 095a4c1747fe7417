//! The pages. To add one: a file here with `ROUTES`, its name below, a template, its texts.

mod account;
mod changes;
mod dashboard;
mod enrol;
mod enrol_data;
mod invitations;
pub mod problem;
mod sign_in;
mod team;
mod tokens;

use super::route::Route;

const ALL: &[&[Route]] = &[
    account::ROUTES,
    changes::ROUTES,
    dashboard::ROUTES,
    enrol::ROUTES,
    invitations::ROUTES,
    sign_in::ROUTES,
    team::ROUTES,
    tokens::ROUTES,
];

/// Every route that is a page.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    ALL.iter().flat_map(|routes| routes.iter())
}
