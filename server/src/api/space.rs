//! What Space asks of this server, with the face-recognition key: enrol, disenrol, status. The
//! JSON is `cardea_space::enrolment`; the writer carries it out.

use cardea_space::enrolment::{EnrolError, EnrolRequest, OPENAPI, error_json, person_of};

use super::Api;
use crate::metrics::events;
use crate::net::{ExchangeId, Field, Method, Replies, Request, Response};
use crate::writer::{Command, Enrolment, EnrolmentAsk};

const JSON: &str = "application/json";

/// The interface's description, for whoever asks: it says nothing of this site.
pub(super) fn openapi() -> Response {
    Response::new(200, JSON, OPENAPI.as_bytes())
}

/// An error as the interface describes it, which is counted.
pub(crate) fn error(status: u16, word: &str, message: &str) -> Response {
    let event = match status {
        401 => &events::SPACE_UNAUTHORISED,
        409 => &events::SPACE_UNKNOWN_USER,
        429 => &events::SPACE_OVERLOADED,
        503 => &events::SPACE_NOT_STORED,
        _ => &events::SPACE_MALFORMED,
    };
    event.count();
    Response::new(status, JSON, error_json(word, message).into_bytes())
}

impl Api {
    /// A request of Space's has come.
    pub(super) fn space(&mut self, id: ExchangeId, request: &Request, to: &mut Replies) {
        self.interval.counts.add("space_requests", 1);
        if let Err(refused) = self.ask_for_space(id, request) {
            self.interval.counts.add("space_requests_refused", 1);
            to.push(id, refused);
        }
    }

    fn ask_for_space(&self, id: ExchangeId, request: &Request) -> Result<(), Response> {
        if !self
            .site
            .admits_space(request.fields.value(Field::Authorization))
        {
            let why = "the face-recognition key is missing or not the one in force";
            return Err(error(401, "unauthorized", why).with_field("WWW-Authenticate", "Bearer"));
        }
        let person = person_of(request.path())
            .ok_or_else(|| error(404, "bad_path", "the path names no ExtUserID"))?;
        let ask = match request.method {
            Method::Put => EnrolmentAsk::Enrol(EnrolRequest::parse(&request.body).map_err(bad)?),
            Method::Delete => EnrolmentAsk::Disenrol,
            Method::Get | Method::Head | Method::Post | Method::Patch | Method::Options => {
                EnrolmentAsk::Status
            }
        };
        let enrolment = Enrolment {
            person,
            ask,
            exchange: id,
            done: self.done.clone(),
        };
        let command = Command::Enrolment(Box::new(enrolment));
        self.writer
            .try_send(command)
            .map_err(|_| error(429, "overloaded", "too much is in flight; ask again later"))
    }
}

fn bad(why: EnrolError) -> Response {
    let status = match why {
        EnrolError::TooLong => 413,
        EnrolError::Form | EnrolError::Email | EnrolError::Name => 400,
    };
    error(status, why.word(), &why.to_string())
}
