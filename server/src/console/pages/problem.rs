//! The page that says what went wrong.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::Frame;
use crate::console::reply::{self, Failure, html_with};
use crate::net::{Method, Response};

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    f: Frame,
    title: &'static str,
    text: String,
}

/// The page for a failure, with its status.
pub(crate) fn page(desk: &Desk, call: &Call, failure: &Failure) -> Response {
    let (title, text) = match failure {
        Failure::NotFound => ("problem.not-found", call.t("problem.not-found-text")),
        Failure::Forbidden => ("problem.forbidden", call.t("problem.forbidden-text")),
        Failure::BadRequest(why) | Failure::Refused(why) => ("problem.refused", why.as_str()),
        Failure::Busy => ("problem.busy", call.t("problem.busy-text")),
        Failure::Broken(_) => ("problem.broken", call.t("problem.broken-text")),
    };
    let page = ProblemPage {
        f: Frame::new(desk, call, ""),
        title: call.t(title),
        text: text.to_owned(),
    };
    html_with(failure.status(), &page).unwrap_or_else(|_| reply::broken())
}

/// The path is known and the method is not.
pub(crate) fn method(allowed: &[Method]) -> Response {
    Response::empty(405).with_field("allow", &reply::allow(allowed))
}
