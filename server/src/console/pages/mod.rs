//! The pages. To add one: a file here with `ROUTES`, its name below, a template, its texts.

mod account;
mod changes;
mod connect;
mod dashboard;
mod enrol;
mod enrol_data;
mod enrolment_service;
mod integrations;
mod invitations;
pub(super) mod problem;
mod sign_in;
mod space;
mod team;
mod tokens;

use super::route::Route;

const ALL: &[&[Route]] = &[
    account::ROUTES,
    changes::ROUTES,
    connect::ROUTES,
    dashboard::ROUTES,
    enrol::ROUTES,
    enrolment_service::ROUTES,
    integrations::ROUTES,
    invitations::ROUTES,
    sign_in::ROUTES,
    space::ROUTES,
    team::ROUTES,
    tokens::ROUTES,
];

/// Every route that is a page.
pub(super) fn routes() -> impl Iterator<Item = &'static Route> {
    ALL.iter().flat_map(|routes| routes.iter())
}
