//! Which path is whose.

use cardea_wire::path;

use crate::net::{Method, Response};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Access,
    Heartbeat,
    Commission,
    Renew,
    Health,
    Ready,
    Metrics,
}

/// The route of a request, or the answer to one that has none.
pub(super) fn find(method: Method, path: &str) -> Result<Route, Response> {
    let (route, allowed) = match path {
        path::ACCESS => (Route::Access, Method::Post),
        path::HEARTBEAT => (Route::Heartbeat, Method::Post),
        path::COMMISSION => (Route::Commission, Method::Post),
        path::RENEW => (Route::Renew, Method::Post),
        "/health" => (Route::Health, Method::Get),
        "/ready" => (Route::Ready, Method::Get),
        "/metrics" => (Route::Metrics, Method::Get),
        _ => return Err(Response::empty(404)),
    };
    if method == allowed || (allowed == Method::Get && method == Method::Head) {
        return Ok(route);
    }
    let allow = if allowed == Method::Post {
        "POST"
    } else {
        "GET, HEAD"
    };
    Err(Response::empty(405).with_field("Allow", allow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        assert_eq!(find(Method::Post, path::ACCESS), Ok(Route::Access));
        assert_eq!(find(Method::Head, "/ready"), Ok(Route::Ready));
        assert_eq!(
            find(Method::Get, path::ACCESS).map_err(|answer| answer.status),
            Err(405)
        );
        assert_eq!(
            find(Method::Get, "/v2/access").map_err(|answer| answer.status),
            Err(404)
        );
    }
}
