//! Which path is whose.

use cardea_space::enrolment::PATH_PREFIX;
use cardea_wire::path;

use crate::connect::firmware;
use crate::console;
use crate::metrics::events::{METHOD_UNKNOWN, PATH_UNKNOWN};
use crate::net::{Method, Response};

/// The description of what Space may ask.
const SPACE_OPENAPI: &str = "/api/space/v1/openapi.json";

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Access,
    Heartbeat,
    Commission,
    Renew,
    Enrol,
    Space,
    SpaceOpenApi,
    Firmware,
    Console,
    Health,
    Ready,
    Metrics,
}

/// The route of a request, or the answer to one that has none.
pub(super) fn find(method: Method, path: &str) -> Result<Route, Response> {
    if path.starts_with(PATH_PREFIX) {
        return match method {
            Method::Get | Method::Head | Method::Put | Method::Delete => Ok(Route::Space),
            Method::Post | Method::Patch | Method::Options => {
                Err(not_allowed("GET, HEAD, PUT, DELETE"))
            }
        };
    }
    if path.starts_with(firmware::PATH_PREFIX) {
        return match method {
            Method::Get | Method::Head => Ok(Route::Firmware),
            Method::Post | Method::Put | Method::Patch | Method::Delete | Method::Options => {
                Err(not_allowed("GET, HEAD"))
            }
        };
    }
    let (route, allowed) = match path {
        SPACE_OPENAPI => (Route::SpaceOpenApi, Method::Get),
        path::ACCESS => (Route::Access, Method::Post),
        path::HEARTBEAT => (Route::Heartbeat, Method::Post),
        path::COMMISSION => (Route::Commission, Method::Post),
        path::RENEW => (Route::Renew, Method::Post),
        path::ENROL => (Route::Enrol, Method::Post),
        "/health" => (Route::Health, Method::Get),
        "/ready" => (Route::Ready, Method::Get),
        "/metrics" => (Route::Metrics, Method::Get),
        _ if console::is_path(path) => return Ok(Route::Console),
        _ => {
            PATH_UNKNOWN.count();
            return Err(Response::empty(404));
        }
    };
    if method == allowed || (allowed == Method::Get && method == Method::Head) {
        return Ok(route);
    }
    let allow = if allowed == Method::Post {
        "POST"
    } else {
        "GET, HEAD"
    };
    Err(not_allowed(allow))
}

fn not_allowed(allow: &str) -> Response {
    METHOD_UNKNOWN.count();
    Response::empty(405).with_field("Allow", allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with another `Allow` than the methods that `find` takes.
    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        assert_eq!(find(Method::Post, path::ACCESS), Ok(Route::Access));
        assert_eq!(find(Method::Head, "/ready"), Ok(Route::Ready));
        let person = "/api/space/v1/people/P1";
        assert_eq!(find(Method::Delete, person), Ok(Route::Space));
        for (method, path, allowed) in [
            (Method::Get, path::ACCESS, "POST"),
            (Method::Put, path::ENROL, "POST"),
            (Method::Post, "/ready", "GET, HEAD"),
            (Method::Post, "/v1/firmware/1.0.0", "GET, HEAD"),
            (Method::Post, person, "GET, HEAD, PUT, DELETE"),
        ] {
            let told = Response::empty(405).with_field("Allow", allowed);
            assert_eq!(find(method, path), Err(told), "{method:?} {path}");
        }
        assert_eq!(find(Method::Get, "/v2/access"), Err(Response::empty(404)));
    }
}
