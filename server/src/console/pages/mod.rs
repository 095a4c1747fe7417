//! The pages. To add one: a file here with `ROUTES`, its name below, a template, its texts.

mod account;
mod changes;
mod connect;
mod dashboard;
mod device_codes;
mod devices;
mod doors;
mod enrol;
mod enrol_data;
mod enrolment_service;
mod integrations;
mod invitations;
mod latency;
mod logs;
mod people;
mod people_import;
mod person;
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
    device_codes::ROUTES,
    devices::ROUTES,
    doors::ROUTES,
    enrol::ROUTES,
    enrolment_service::ROUTES,
    integrations::ROUTES,
    invitations::ROUTES,
    latency::ROUTES,
    logs::ROUTES,
    people::ROUTES,
    people_import::ROUTES,
    person::ROUTES,
    sign_in::ROUTES,
    space::ROUTES,
    team::ROUTES,
    tokens::ROUTES,
];

/// Every route that is a page.
pub(super) fn routes() -> impl Iterator<Item = &'static Route> {
    ALL.iter().flat_map(|routes| routes.iter())
}
