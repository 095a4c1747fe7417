//! `/health`, `/ready` and `/metrics`: for people, load balancers and Prometheus. No personal data.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::metrics::events::METRICS_AFAR;
use crate::net::{Peer, Response};
use crate::site::Site;

/// Alive, and a little of how.
pub(super) fn health(site: &Site) -> Response {
    let searched = site.searched.load();
    let directory = site.directory();
    let body = serde_json::json!({
        "ready": site.is_ready(),
        "stopping": site.is_stopping(),
        "people": directory.people(),
        "references": searched.view.rows(),
        "devices": directory.devices(),
        "generation": searched.view.generation(),
        "clock": site.clock.to_json(),
        "threshold": searched.threshold.value(),
        "address_own": site.is_address_own(),
        "backup_age_s": site.backup_age_s(),
    });
    Response::new(200, "application/json", body.to_string().into_bytes())
}

/// 200 once requests can be served, 503 before and while stopping.
pub(super) fn ready(site: &Site) -> Response {
    if site.is_ready() && !site.is_stopping() {
        Response::text(200, "ready\n")
    } else {
        Response::text(503, "not ready\n")
    }
}

/// The metrics, for a scraper on this machine: they tell how busy the doors are.
pub(super) fn metrics(peer: &Peer, text: &Arc<ArcSwap<String>>) -> Response {
    if !peer.address.ip().to_canonical().is_loopback() {
        METRICS_AFAR.count();
        return Response::empty(403);
    }
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Response::new(200, content_type, text.load().as_bytes().to_vec())
}
