//! Routes: which path is whose, and who may.

use super::call::Call;
use super::desk::Desk;
use super::reply::Failure;
use crate::net::{Method, Response};
use crate::store::Scope;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anybody: the page decides by itself.
    Nothing,
    /// A member of the team, also one whose password must be changed first.
    Session,
    /// Whoever may do this.
    Scope(Scope),
}

/// What serves a request.
pub(super) type Handle = fn(&mut Desk, &Call) -> Result<Response, Failure>;

/// One path with one method.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// GET serves HEAD too.
    pub method: Method,
    /// The path; `{}` is one segment that may be anything.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    /// What serves it.
    pub handle: Handle,
}

/// A page to look at.
pub(super) const fn get(path: &'static str, scope: Scope, handle: Handle) -> Route {
    let needs = Needs::Scope(scope);
    Route {
        method: Method::Get,
        path,
        needs,
        handle,
    }
}

/// A form that is sent.
pub(super) const fn post(path: &'static str, scope: Scope, handle: Handle) -> Route {
    let needs = Needs::Scope(scope);
    Route {
        method: Method::Post,
        path,
        needs,
        handle,
    }
}

/// What is found for a path.
pub(super) enum Found<'a> {
    /// The route, and what stood in the places of its pattern.
    Route(&'a Route, Vec<String>),
    /// The path is known, the method is not: these are.
    Methods(Vec<Method>),
    /// No such path.
    Nothing,
}

/// Finds the route of a request.
pub(super) fn find<'a>(
    routes: impl Iterator<Item = &'a Route>,
    method: Method,
    path: &str,
) -> Found<'a> {
    let mut methods = Vec::new();
    for route in routes {
        let Some(places) = places(route.path, path) else {
            continue;
        };
        if route.method == method {
            return Found::Route(route, places);
        }
        methods.push(route.method);
    }
    match methods.is_empty() {
        true => Found::Nothing,
        false => Found::Methods(methods),
    }
}

/// What stands in the places of `pattern`, if the path is of that form.
fn places(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    let mut places = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(places),
            (Some("{}"), Some(segment)) if !segment.is_empty() => places.push(decoded(segment)?),
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return None,
        }
    }
}

/// A segment without its percent signs; none if it is not UTF-8 or has control characters.
fn decoded(segment: &str) -> Option<String> {
    // What means something in a form means itself in a path.
    let escaped = segment.replace('+', "%2B");
    let escaped = escaped.replace('=', "%3D").replace('&', "%26");
    let (text, _) = form_urlencoded::parse(escaped.as_bytes()).next()?;
    let sound = !text.contains('\u{fffd}') && !text.chars().any(char::is_control);
    sound.then(|| text.into_owned())
}

/// A segment of a path that names anything.
pub(super) fn encoded(segment: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(segment.as_bytes()).collect();
    encoded.replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_out_and_put_back() {
        let found = places("/console/people/{}/rights", "/console/people/P%201/rights");
        assert_eq!(found, Some(vec!["P 1".to_owned()]));
        for name in ["a/b c", "ü+&=?%", "..", "x"] {
            let path = format!("/p/{}", encoded(name));
            assert_eq!(
                places("/p/{}", &path),
                Some(vec![name.to_owned()]),
                "{path}"
            );
        }
        for path in ["/p/", "/p", "/p/a/b", "/p/%ff", "/p/%0a", "/q/a"] {
            assert_eq!(places("/p/{}", path), None, "{path}");
        }
    }
}
