//! From a request to its route: who asks, may they, and does the form come from a page of ours.

use std::net::IpAddr;
use std::time::Instant;

use zeroize::Zeroize as _;

use super::call::{Call, Cookies, Who};
use super::csrf;
use super::desk::Desk;
use super::form::{FORM, Form};
use super::language::Language;
use super::pages::{self, problem};
use super::reply::{self, Failure, redirect};
use super::route::{Found, Needs, Route, find};
use super::{api, assets, session};
use crate::metrics::events::CONSOLE_BROKEN;
use crate::net::{Field, Method, Request, Response};
use crate::site::unix_ms;

/// Answers a request.
pub(super) fn serve(
    desk: &mut Desk,
    request: Request,
    remote: IpAddr,
    deadline: Instant,
) -> Response {
    if let Some(asset) = assets::find(request.path()) {
        return asset;
    }
    let is_api = request.path().starts_with("/api/");
    let complete = request.times.complete;
    let (mut call, new_cookie) = match call_of(desk, request, remote, deadline) {
        Ok(known) => known,
        Err(failure) => {
            log(&failure);
            return reply::broken();
        }
    };
    let outcome = match is_api {
        true => route_api(desk, &mut call),
        false => route_page(desk, &mut call),
    };
    // It may have been a photo.
    call.body.zeroize();
    let response = outcome.unwrap_or_else(|failure| {
        log(&failure);
        match is_api {
            true => api::problem(&failure),
            false => problem::page(desk, &call, &failure),
        }
    });
    let response = match call.who {
        // How long a sign-in takes is nobody's business.
        Who::Nobody => response,
        Who::Member { .. } | Who::Token(_) => reply::timed(response, complete),
    };
    match new_cookie {
        Some(cookie) if !is_api => response.with_field("set-cookie", &cookie),
        _ => response,
    }
}

fn log(failure: &Failure) {
    if let Failure::Broken(why) = failure
        && CONSOLE_BROKEN.is_logged()
    {
        tracing::error!(why, "a page of the console");
    }
}

/// The request as pages see it, and the cookie to be set for its forms, if it is new.
fn call_of(
    desk: &Desk,
    request: Request,
    remote: IpAddr,
    deadline: Instant,
) -> Result<(Call, Option<String>), Failure> {
    let now_unix_s = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
    let cookies = Cookies::of(&request);
    let (mut who, mut csrf, mut new_cookie) = (Who::Nobody, String::new(), None);
    if let Some((member, token)) = session::of_cookie(desk, &cookies, now_unix_s)? {
        (who, csrf) = (member, token);
    } else if let Some(secret) = cookies.value(csrf::COOKIE) {
        csrf = csrf::token(secret);
    } else if request.method != Method::Post {
        let secret = csrf::new_secret()?;
        csrf = csrf::token(&secret);
        new_cookie = Some(session::cookie(csrf::COOKIE, &secret, None));
    }
    if let Some(shown) = request.fields.value(Field::Authorization) {
        let token = session::of_authorization(desk, shown, now_unix_s)?;
        who = token.unwrap_or(Who::Nobody);
    }
    let language = Language::choose(
        cookies.value(super::language::COOKIE),
        request.fields.value(Field::AcceptLanguage),
    );
    let content_type = request.fields.value(Field::ContentType).unwrap_or_default();
    let is_form = content_type
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim() == FORM);
    let form = match is_form {
        true => Form::parse(&request.body),
        false => Form::default(),
    };
    let call = Call {
        method: match request.method {
            Method::Head => Method::Get,
            other => other,
        },
        path: request.path().to_owned(),
        places: Vec::new(),
        query: Form::parse(request.query().unwrap_or_default().as_bytes()),
        form,
        content_type: content_type.to_owned(),
        who,
        csrf,
        language,
        remote: remote.to_canonical(),
        cookies,
        deadline,
        now_unix_s,
        body: request.body,
    };
    let fetch_site = request.fields.value(Field::FetchSite);
    let foreign = fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let mut call = call;
    if foreign && call.method != Method::Get {
        // Not a page of ours: whatever its form carries, it does not hold.
        call.csrf = String::new();
    }
    Ok((call, new_cookie))
}

fn route_page(desk: &mut Desk, call: &mut Call) -> Result<Response, Failure> {
    let path = call.path.clone();
    let route = match find(pages::routes(), call.method, &path) {
        Found::Route(route, places) => {
            call.places = places;
            route
        }
        Found::Methods(methods) => return Ok(problem::method(&methods)),
        Found::Nothing => return Err(Failure::NotFound),
    };
    if let Some(elsewhere) = admit(call, route)? {
        return Ok(elsewhere);
    }
    if call.method != Method::Get && !has_token(call) {
        return Err(Failure::BadRequest(call.t("problem.form").to_owned()));
    }
    (route.handle)(desk, call)
}

/// Whether whoever asks may; or where they go first.
fn admit(call: &Call, route: &Route) -> Result<Option<Response>, Failure> {
    let scope = match route.needs {
        Needs::Nothing => return Ok(None),
        Needs::Session => None,
        Needs::Scope(scope) => Some(scope),
    };
    let Some(member) = call.who.member() else {
        let back = form_urlencoded::byte_serialize(call.path.as_bytes());
        let to: String = back.collect();
        return Ok(Some(redirect(&format!("/console/sign-in?to={to}"))));
    };
    match scope {
        Some(_) if member.must_change => Ok(Some(redirect("/console/account"))),
        Some(scope) if !call.who.may(scope) => Err(Failure::Forbidden),
        Some(_) | None => Ok(None),
    }
}

fn has_token(call: &Call) -> bool {
    let shown = call
        .form
        .raw(csrf::FIELD)
        .or_else(|| call.query.raw(csrf::FIELD));
    let shown = shown.unwrap_or_default();
    !call.csrf.is_empty() && csrf::is_token(shown, &call.csrf)
}

fn route_api(desk: &mut Desk, call: &mut Call) -> Result<Response, Failure> {
    let path = call.path.clone();
    let route = match find(api::routes(), call.method, &path) {
        Found::Route(route, places) => {
            call.places = places;
            route
        }
        Found::Methods(methods) => return Ok(api::method(&methods)),
        Found::Nothing => return Err(Failure::NotFound),
    };
    let Needs::Scope(scope) = route.needs else {
        return (route.handle)(desk, call);
    };
    match &call.who {
        Who::Nobody => return Ok(api::unauthorized()),
        // A page of ours may look; what changes something shows a token of the API.
        Who::Member { member, .. } if call.method != Method::Get || member.must_change => {
            return Ok(api::unauthorized());
        }
        Who::Member { .. } | Who::Token(_) => {}
    }
    if !call.who.may(scope) {
        return Err(Failure::Forbidden);
    }
    (route.handle)(desk, call)
}
