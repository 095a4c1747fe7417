//! HTTP/1.1 as bytes in, requests out; responses in, bytes out. No socket, no clock, no TLS.
//!
//! The server speaks the part of HTTP that devices, `curl` and browsers need and nothing that two
//! readers could understand differently: kept-alive connections, one request at a time, bodies
//! framed by `Content-Length` alone. Everything else is refused with a status that says why, and
//! the connection is closed, because after such a request nobody knows where the next one begins.
//!
//! | what arrives | refused with |
//! | --- | --- |
//! | a line that ends in LF alone, a folded or malformed line, an empty first line | 400 |
//! | a target that is not a path (`http://..`, `*`), or holds other than visible ASCII | 400 |
//! | no `Host`, or two | 400 |
//! | a repeated header that we read | 400 |
//! | `Content-Length` twice, not decimal digits, or with leading zeros | 400 |
//! | `Content-Length` above 0 on GET or HEAD | 400 |
//! | `Transfer-Encoding` beside `Content-Length` | 400 |
//! | bytes after a request and before its answer (the answer comes first) | 400 |
//! | head or body not whole before its deadline | 408 |
//! | `Transfer-Encoding`; POST, PUT or PATCH without `Content-Length` | 411 |
//! | a body longer than the limit | 413 |
//! | a target longer than the limit | 414 |
//! | any `Expect` | 417 |
//! | a head longer than the limit, or with too many lines | 431 |
//! | a method that is not ours; any `Upgrade` | 501 |
//! | a limit of load reached, or no answer in time | 503 |
//! | HTTP/1.0, HTTP/2 and others | 505 |

pub mod connection;
mod head;
pub mod refusal;
pub mod request;
pub mod response;

pub use connection::{Connection, Phase};
pub use refusal::Refusal;
pub use request::{Field, Fields, Method, Request, RequestTimes};
pub use response::Response;

#[cfg(test)]
mod tests;
