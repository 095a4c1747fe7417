//! The own account: another password.

use std::sync::PoisonError;

use askama::Template;

use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::{Frame, Notice};
use crate::console::password;
use crate::console::reply::{Failure, html_with, redirect};
use crate::console::route::{Needs, Route};
use crate::console::session;
use crate::limits::PASSWORD_BYTES_MIN;
use crate::net::{Method, Response};
use crate::writer::ConsoleChange;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/console/account",
        needs: Needs::Session,
        handle: page,
    },
    Route {
        method: Method::Post,
        path: "/console/account",
        needs: Needs::Session,
        handle: change,
    },
];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    f: Frame,
    must_change: bool,
    shortest: usize,
}

fn page(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    show(desk, call, 200, None)
}

fn show(
    desk: &Desk,
    call: &Call,
    status: u16,
    notice: Option<Notice>,
) -> Result<Response, Failure> {
    let mut f = Frame::new(desk, call, "account");
    f.notice = notice.or(f.notice);
    let page = AccountPage {
        f,
        must_change: call.who.member().is_some_and(|member| member.must_change),
        shortest: PASSWORD_BYTES_MIN,
    };
    html_with(status, &page)
}

fn change(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let member = call.who.member().ok_or(Failure::Forbidden)?.clone();
    let field = |name| call.form.raw(name).unwrap_or_default();
    let (old, new, again) = (field("old"), field("new"), field("again"));
    let wrong = |key| show(desk, call, 422, Some(Notice::bad(call.t(key))));
    if new != again {
        return wrong("account.differ");
    }
    if !password::is_acceptable(new) {
        return wrong("account.short");
    }
    if new == old {
        return wrong("account.same");
    }
    let stored = desk.read.store.member_named(&member.name)?;
    let (_, stored) = stored.ok_or(Failure::Forbidden)?;
    let hash = {
        let hashing = &desk.shared.hashing;
        let _one = hashing.lock().unwrap_or_else(PoisonError::into_inner);
        match password::is_of(&stored, old) {
            true => Some(password::hash(new)?),
            false => None,
        }
    };
    let Some(hash) = hash else {
        return wrong("account.wrong");
    };
    let name = member.name.clone();
    desk.change(ConsoleChange::Password { name, hash }, call.deadline)?;
    // Every session has ended with the old password, this one too.
    let cookies = session::open(desk, call.deadline, member.id, &member.name, true)?;
    let response = redirect("/console/");
    Ok(cookies.iter().fold(response, |response, cookie| {
        response.with_field("set-cookie", cookie)
    }))
}
