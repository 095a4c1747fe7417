//! One SHIP call as an HTTP/1.1 request; the only file that names ureq-proto.

use std::time::Instant;

use ureq_proto::BodyMode;
use ureq_proto::client::{
    Call as Exchange, RecvBodyResult, RecvResponseResult, SendRequestResult, state,
};
use ureq_proto::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use ureq_proto::http::{HeaderValue, Request};

use super::link::Link;
use super::{Answer, CallError, Fault, send};
use crate::limits::{HTTP_HEAD_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::message::reply::shorten;

const MEDIA_TYPE: &str = "application/vnd.saltosystems.ship.v1+xml";
const KEY_HEADER: &str = "salto-ship-key";
const OK: u16 = 200;

/// What is asked of [`exchange`].
pub(super) struct Call<'a> {
    pub(super) host: &'a str,
    pub(super) key: &'a str,
    pub(super) message: &'a str,
    pub(super) body_max: usize,
    pub(super) deadline: Instant,
}

/// Sends one request and reads its answer.
pub(super) fn exchange(
    link: &mut Link,
    call: &Call<'_>,
    may_send: &dyn Fn() -> bool,
) -> Result<Answer, CallError> {
    let (request, exchange) = render(call).map_err(CallError::NotSent)?;
    send(link, &request, call.deadline, may_send)?;
    let mut input = Vec::new();
    let exchange = match read_head(link, exchange, &mut input, call.deadline)? {
        RecvResponseResult::RecvBody(exchange) => exchange,
        RecvResponseResult::Cleanup(exchange) => {
            let keep_alive = !exchange.must_close_connection() && input.is_empty();
            return Ok(Answer {
                body: Vec::new(),
                keep_alive,
            });
        }
        RecvResponseResult::Redirect(exchange) => {
            return Err(CallError::Status(exchange.status().as_u16()));
        }
    };
    read_body(link, exchange, input, call)
}

/// The whole request as bytes, and what awaits its answer.
fn render(call: &Call<'_>) -> Result<(Vec<u8>, Exchange<state::RecvResponse>), Fault> {
    let mut key = HeaderValue::from_str(call.key).map_err(|error| fault(&error))?;
    key.set_sensitive(true);
    let request = Request::post(format!("https://{}/", call.host))
        .header(CONTENT_TYPE, MEDIA_TYPE)
        .header(CONTENT_LENGTH, call.message.len())
        .header(KEY_HEADER, key)
        .body(())
        .map_err(|error| fault(&error))?;
    let mut exchange = Exchange::new(request)
        .map_err(|error| fault(&error))?
        .proceed();
    let mut bytes = vec![0; REQUEST_BYTES_MAX];
    let mut length = exchange.write(&mut bytes).map_err(|error| fault(&error))?;
    let too_large = || Fault::RequestTooLarge(REQUEST_BYTES_MAX);
    let Ok(Some(SendRequestResult::SendBody(mut exchange))) = exchange.proceed() else {
        return Err(too_large());
    };
    let body = call.message.as_bytes();
    let written = exchange
        .write(body, &mut bytes[length..])
        .map_err(|error| fault(&error))?;
    length += written.1;
    bytes.truncate(length);
    // Not all of the body fitted when it does not proceed.
    let exchange = exchange.proceed().ok_or_else(too_large)?;
    Ok((bytes, exchange))
}

/// Reads up to the end of the head, and leaves what follows it in `input`.
fn read_head(
    link: &mut Link,
    mut exchange: Exchange<state::RecvResponse>,
    input: &mut Vec<u8>,
    deadline: Instant,
) -> Result<RecvResponseResult, CallError> {
    loop {
        let parsed = exchange.try_response(input, false);
        let (used, response) = parsed.map_err(|error| CallError::Lost(fault(&error)))?;
        input.drain(..used);
        if let Some(response) = response {
            let status = response.status().as_u16();
            if status != OK {
                return Err(CallError::Status(status));
            }
            return exchange.proceed().ok_or(CallError::Lost(Fault::Closed));
        }
        if used > 0 {
            continue;
        }
        if input.len() > HTTP_HEAD_BYTES_MAX {
            return Err(CallError::Lost(Fault::TooLarge(HTTP_HEAD_BYTES_MAX)));
        }
        if link.receive(input, deadline).map_err(CallError::Lost)? == 0 {
            return Err(CallError::Lost(Fault::Closed));
        }
    }
}

fn read_body(
    link: &mut Link,
    mut exchange: Exchange<state::RecvBody>,
    mut input: Vec<u8>,
    call: &Call<'_>,
) -> Result<Answer, CallError> {
    let too_large = || CallError::Lost(Fault::TooLarge(call.body_max));
    let mode = exchange.body_mode();
    if matches!(mode, BodyMode::LengthDelimited(length) if length > call.body_max as u64) {
        return Err(too_large());
    }
    let until_close = mode == BodyMode::CloseDelimited;
    let mut body = Vec::new();
    let mut output = vec![0; 64 << 10];
    loop {
        // Take what is there before waiting for more.
        let mut consumed = 0;
        loop {
            let read = exchange.read(&input[consumed..], &mut output);
            let (used, produced) = read.map_err(|error| CallError::Lost(fault(&error)))?;
            if body.len() + produced > call.body_max {
                return Err(too_large());
            }
            body.extend_from_slice(&output[..produced]);
            consumed += used;
            if used == 0 && produced == 0 {
                break;
            }
        }
        input.drain(..consumed);
        if !until_close && exchange.can_proceed() {
            break;
        }
        if link
            .receive(&mut input, call.deadline)
            .map_err(CallError::Lost)?
            == 0
        {
            if until_close {
                break;
            }
            return Err(CallError::Lost(Fault::Closed));
        }
    }
    let must_close = match exchange.proceed() {
        Some(RecvBodyResult::Cleanup(exchange)) => exchange.must_close_connection(),
        Some(RecvBodyResult::Redirect(_)) | None => true,
    };
    Ok(Answer {
        body,
        keep_alive: !must_close && input.is_empty(),
    })
}

fn fault(error: &dyn std::error::Error) -> Fault {
    Fault::Http(shorten(error.to_string()))
}
