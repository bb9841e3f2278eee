//! The servers that the clients talk to, in the network namespace of one container: whatever name a client
//! asks for is 127.0.0.1 there, and this answers on port 443 with a certificate for that name, and on
//! port 8080 without TLS. Every request is kept; a token that is not among the valid ones gets a 401.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::answers::{self, Answer};
use crate::client::Client;

/// The names of the vendors' servers that the clients know.
pub const NAMES: [&str; 14] = [
    "api.anthropic.com",
    "platform.claude.com",
    "console.anthropic.com",
    "claude.ai",
    "api.openai.com",
    "auth.openai.com",
    "chatgpt.com",
    "oauth2.googleapis.com",
    "www.googleapis.com",
    "cloudcode-pa.googleapis.com",
    "generativelanguage.googleapis.com",
    "play.googleapis.com",
    "api.github.com",
    "api.githubcopilot.com",
];

/// Where logins are renewed.
const REFRESH: [&str; 3] =
    ["platform.claude.com/v1/oauth/token", "auth.openai.com/oauth/token", "oauth2.googleapis.com/token"];

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The server's name and the path, without a query: `api.anthropic.com/v1/messages`.
    pub target: String,
    pub method: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The headers that authenticate, each as `name: value`.
    pub fn credentials(&self) -> Vec<String> {
        let names = ["authorization", "x-api-key", "x-goog-api-key"];
        let kept = self.headers.iter().filter(|(name, _)| names.contains(&name.as_str()));
        kept.map(|(name, value)| format!("{name}: {value}")).collect()
    }

    /// Whether it asks for a renewed login.
    pub fn is_refresh(&self) -> bool {
        REFRESH.contains(&self.target.as_str())
    }
}

/// What the server knows.
#[derive(Debug, Default)]
pub struct State {
    pub requests: Vec<Request>,
    /// The only tokens that models take; any, if there are none.
    pub valid: Vec<String>,
    /// Refusals wait until this is over.
    pub hold: bool,
    /// The access token that a renewal gives; without it renewals are refused.
    pub renewed: Option<String>,
    /// For how many seconds it is valid, if not for an hour.
    pub renewed_for: Option<u32>,
}

/// The server.
pub struct Api {
    /// The certificate of its authority, PEM.
    pub authority: String,
    config: Arc<ServerConfig>,
    state: Arc<Mutex<State>>,
}

impl Api {
    /// A server that is in no network yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With the name of its issuer, the server's certificate would pass for a self-signed one.
        params.distinguished_name.push(DnType::CommonName, "the tests' authority");
        let authority_key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&authority_key).expect("an authority").pem();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = NAMES.map(str::to_owned).to_vec();
        let own = CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
        let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).expect("TLS");
        Self { authority, config: Arc::new(config), state: Arc::default() }
    }

    /// Answers from now on in the network namespace of a process.
    pub fn listen(&self, pid: &str) {
        let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the container's network");
        // A thread of its own is there; a socket stays where it was made.
        let listeners = thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
            [443, 8080].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("a port"))
        });
        let [tls, plain] = listeners.join().expect("listeners");
        let (config, state) = (Arc::clone(&self.config), Arc::clone(&self.state));
        serve(tls, move |connection| {
            let connection = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).expect("TLS"), connection);
            answer(connection, &state);
        });
        let state = Arc::clone(&self.state);
        serve(plain, move |connection| {
            answer(connection, &state);
        });
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test of this process has failed")
    }

    /// The requests so far, which are forgotten.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }

    /// Waits until a model was asked.
    #[track_caller]
    pub fn wait_for_a_model(&self, client: Client) {
        let end = Instant::now() + Duration::from_secs(60);
        let asked = || self.state().requests.iter().any(|it| client.models().contains(&it.target.as_str()));
        while !asked() {
            assert!(Instant::now() < end, "no model was asked");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A thread for the listener, and one for every connection. They end with the test.
fn serve(listener: TcpListener, each: impl Fn(TcpStream) + Send + Sync + 'static) {
    let each = Arc::new(each);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let each = Arc::clone(&each);
            thread::spawn(move || each(connection));
        }
    });
}

/// One connection, one request.
fn answer(mut stream: impl Read + Write, state: &Mutex<State>) -> Option<()> {
    let request = read(&mut stream)?;
    let Answer { status, kind, body } = {
        let mut state = state.lock().ok()?;
        let answer = answers::to(&request, &state);
        state.requests.push(request);
        answer
    };
    while status == 401 && state.lock().ok()?.hold {
        thread::sleep(Duration::from_millis(10));
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .ok()?;
    stream.flush().ok()
}

/// Reads a request whose body, if there is one, has an announced length or comes in chunks.
fn read(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let (head, start) = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break (String::from_utf8_lossy(&bytes[..end]).into_owned(), end + 4);
        }
        more(stream, &mut bytes)?;
    };
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
    let host = header("host").unwrap_or_default();
    let target = format!("{host}{}", path.split('?').next().unwrap_or_default());
    if header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            more(stream, &mut bytes)?;
        }
    } else {
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while bytes.len() < start + length {
            more(stream, &mut bytes)?;
        }
    }
    let body = String::from_utf8_lossy(&bytes[start..]).into_owned();
    Some(Request { target, method, headers, body })
}

fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0_u8; 16384];
    let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
    bytes.extend_from_slice(&piece[..read]);
    Some(())
}
