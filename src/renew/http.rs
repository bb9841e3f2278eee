//! One request over HTTPS. No redirect is followed, and nothing that the server says gets into an
//! error. Proxies are those of the environment as `ureq` takes them: `ALL_PROXY`, `HTTPS_PROXY`,
//! `HTTP_PROXY`, without the hosts in `NO_PROXY`; a proxy sees the server's name and a TLS stream.
//! Certificates are checked against the host's roots, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
//!
//! The buffers of TLS itself are not overwritten: they belong to the library.

use std::cell::Cell;
use std::io::{self, Read};
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, SendBody};
use zeroize::Zeroizing;

use super::Error;
use crate::json::Object;
use crate::secret::Secret;

/// Longest answer, in bytes.
pub const LONGEST_ANSWER: usize = 64 << 10;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For everything.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// What sends requests.
#[derive(Debug)]
pub struct Http {
    agent: Agent,
    total: Duration,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Response {
    /// The server's name.
    pub(super) server: String,
    pub(super) status: u16,
    /// As much of the body as came; one byte more than the longest when there was more than that.
    pub(super) body: Secret,
    /// Why it is not all, if it is not.
    pub(super) cut_off: Option<Error>,
}

impl Default for Http {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Http {
    /// With these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .https_only(true)
            .tls_config(tls)
            .max_redirects(0)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("keyslip/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_global(Some(limits.total))
            .build();
        Self { agent: config.new_agent(), total: limits.total }
    }

    /// Posts `body`.
    pub(super) fn post(&self, endpoint: &str, media_type: &str, body: &Secret) -> Result<Response, Error> {
        let server = server(endpoint)?;
        let sent = Cell::new(false);
        let failed = |error: ureq::Error| self.failure(&server, error, sent.get());
        let mut source = Source { rest: body.expose(), begun: &sent };
        let response = self
            .agent
            .post(endpoint)
            .header("content-type", media_type)
            .header("accept", "application/json")
            .header("content-length", body.len().to_string())
            .send(SendBody::from_reader(&mut source))
            .map_err(failed)?;
        let status = response.status().as_u16();
        let (body, cut_off) = read(response.into_body().into_reader());
        let cut_off = cut_off.map(|error| failed(error.into()));
        Ok(Response { server, status, body, cut_off })
    }

    fn failure(&self, server: &str, error: ureq::Error, sent: bool) -> Error {
        let server = server.to_owned();
        let reason = match error {
            ureq::Error::Timeout(_) => return Error::TimedOut { server, after: self.total.as_secs(), sent },
            ureq::Error::HostNotFound => "there is no such host, or no name server answers".to_owned(),
            // What these say is the system's or the TLS library's, not the server's.
            ureq::Error::Io(error) => error.to_string(),
            error @ (ureq::Error::Rustls(_) | ureq::Error::Tls(_)) => error.to_string(),
            ureq::Error::ConnectProxyFailed(_) => "the proxy of the environment does not connect".to_owned(),
            ureq::Error::ConnectionFailed => "no connection".to_owned(),
            _ => "what it speaks is not HTTP".to_owned(),
        };
        Error::Unreachable { server, reason, sent }
    }
}

/// The name of the server that an address is on.
pub(super) fn server(endpoint: &str) -> Result<String, Error> {
    let uri = endpoint.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("https"));
    let host = uri.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
    host.map(str::to_owned).ok_or_else(|| Error::Insecure { endpoint: endpoint.to_owned() })
}

/// What is sent; it is asked for only when the connection is there.
struct Source<'a> {
    rest: &'a [u8],
    begun: &'a Cell<bool>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun.set(true);
        self.rest.read(buffer)
    }
}

/// Reads to the end, or as far as it goes, but not on when an object is whole: a server may be slow to
/// say that there is no more.
fn read(mut from: impl Read) -> (Secret, Option<io::Error>) {
    let mut body = Zeroizing::new(vec![0; LONGEST_ANSWER + 1]);
    let mut length = 0;
    let error = loop {
        match from.read(&mut body[length..]) {
            // At the end, or without room for more.
            Ok(0) => break None,
            Ok(read) => {
                length += read;
                if is_object(&body[..length]) {
                    break None;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Some(error),
        }
    };
    body.truncate(length);
    (Secret::new(std::mem::take(&mut *body)), error)
}

/// Whether `body` is a whole JSON object.
pub(super) fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_end().ends_with(b"}") && std::str::from_utf8(body).is_ok_and(|text| Object::read(text).is_ok())
}
