//! Signing in and out, and the choice of the language.

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::language::{self, Language};
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Needs, Route};
use crate::console::session::{self, SignInRefused};
use crate::net::{Method, Response};

pub(super) const ROUTES: &[Route] = &[
    open(Method::Get, "/", home),
    open(Method::Get, "/console", home),
    open(Method::Get, "/console/sign-in", page),
    open(Method::Post, "/console/sign-in", sign_in),
    Route {
        method: Method::Post,
        path: "/console/sign-out",
        needs: Needs::Session,
        handle: sign_out,
    },
    open(Method::Get, "/console/language/{}", choose_language),
];

const fn open(method: Method, path: &'static str, handle: crate::console::route::Handle) -> Route {
    Route {
        method,
        path,
        needs: Needs::Nothing,
        handle,
    }
}

/// A year.
const LANGUAGE_LIFE_S: i64 = 365 * 86_400;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    f: Frame,
    name: String,
    to: String,
}

fn home(_desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    Ok(redirect("/console/"))
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    if call.who.member().is_some() {
        return Ok(redirect("/console/"));
    }
    show(desk, call, 200, call.query.text("to"), None)
}

fn show(
    desk: &Desk,
    call: &Call,
    status: u16,
    to: &str,
    notice: Option<Notice>,
) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "");
    f.notice = notice;
    let page = SignInPage {
        f,
        name: call.form.text("name").to_owned(),
        to: inside(to).to_owned(),
    };
    html_with(status, &page)
}

fn sign_in(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let (name, to) = (call.form.text("name"), call.form.text("to"));
    let password = call.form.raw("password").unwrap_or_default();
    match session::sign_in(desk, call, name, password) {
        Ok(cookies) => {
            let response = redirect(inside(to));
            Ok(cookies.iter().fold(response, |response, cookie| {
                response.with_field("set-cookie", cookie)
            }))
        }
        Err(SignInRefused::Failed(failure)) => Err(failure),
        Err(SignInRefused::Wrong) => {
            let notice = Notice::bad(call.t("sign-in.wrong"));
            show(desk, call, 403, to, Some(notice))
        }
        Err(SignInRefused::Wait(seconds)) => {
            let places = [("seconds", &*seconds.to_string())];
            let notice = Notice::bad(call.language.filled("problem.wait", &places));
            let page = show(desk, call, 429, to, Some(notice))?;
            Ok(page.with_field("retry-after", &seconds.to_string()))
        }
    }
}

fn sign_out(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let cookie = match call.who.session() {
        Some(session) => session::sign_out(desk, call, session)?,
        None => session::cookie(session::COOKIE, "", Some(0)),
    };
    Ok(redirect("/console/sign-in").with_field("set-cookie", &cookie))
}

fn choose_language(_desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let language = Language::named(call.place()).ok_or(Failure::NotFound)?;
    let cookie = session::cookie(language::COOKIE, language.code, Some(LANGUAGE_LIFE_S));
    Ok(redirect(inside(call.query.text("to"))).with_field("set-cookie", &cookie))
}

/// A path of ours, whatever was asked for: nobody is sent elsewhere.
fn inside(to: &str) -> &str {
    let plain = to
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let ours = ["/console/", "/enrol/"]
        .iter()
        .any(|start| to.starts_with(start));
    match plain && ours {
        true => to,
        false => "/console/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(inside("/console/people?x=1"), "/console/people?x=1");
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/console/\r\nx: y",
            "/\\x",
        ] {
            assert_eq!(inside(other), "/console/");
        }
    }
}
