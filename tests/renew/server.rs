//! An authorization server on 127.0.0.1, with TLS and a certificate authority of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// As RFC 6749 has it: a valid refresh token gives new tokens and is spent.
    Grant,
    /// As `Grant`, but the answer takes this long.
    Slow(Duration),
    /// As `Grant`, but the answer is lost: the connection ends.
    Lost,
    /// As `Grant`, but the connection ends before the announced end of the answer, which is whole.
    Short,
    /// As `Grant`, but after the answer, whose end is not announced, the connection stays open.
    Open,
    /// This, whatever was asked.
    Say(u16, &'static str, String),
}

/// What the server knows.
#[derive(Debug, Default)]
pub struct State {
    /// The refresh token that it takes.
    pub valid: String,
    /// How many it has given.
    pub given: u32,
    /// How many times it was given one that it does not take.
    pub refused: u32,
    /// Heads and bodies of requests.
    pub requests: Vec<(String, String)>,
    pub reply: Option<Reply>,
    /// Answers have a refresh token.
    pub rotates: bool,
    /// What comes before the number in an access token.
    pub access: &'static str,
}

pub struct Server {
    pub port: u16,
    /// The certificate of the authority, PEM.
    pub authority: PathBuf,
    state: Arc<Mutex<State>>,
}

/// A token of the server's: `FAKE-refresh-3`.
pub fn refresh_token(number: u32) -> String {
    format!("FAKE-refresh-{number}")
}

impl Server {
    /// Starts one; the authority's certificate is written into `dir`. It ends with the test.
    pub fn start(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&authority_key).unwrap();
        let authority = dir.join("authority.pem");
        std::fs::write(&authority, certificate.pem()).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let start = State { valid: refresh_token(0), rotates: true, access: "FAKE-access-", ..State::default() };
        let state = Arc::new(Mutex::new(start));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (config, state) = (Arc::clone(&config), Arc::clone(&shared));
                std::thread::spawn(move || serve(connection, config, &state));
            }
        });
        Self { port, authority, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on.
    pub fn reply(&self, reply: Reply) {
        self.state().reply = Some(reply);
    }
}

/// One connection, one request.
fn serve(connection: TcpStream, config: Arc<ServerConfig>, state: &Mutex<State>) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), connection);
    let (head, body) = request(&mut stream)?;
    let (reply, answer) = {
        let mut state = state.lock().unwrap();
        state.requests.push((head, body.clone()));
        let reply = state.reply.clone().unwrap_or(Reply::Grant);
        let answer = if matches!(reply, Reply::Say(..)) { None } else { Some(state.grant(&body)) };
        (reply, answer)
    };
    let (status, headers, body) = match (&reply, answer) {
        (Reply::Say(status, headers, body), _) => (*status, *headers, body.clone()),
        (_, Some(Some(tokens))) => (200, "", tokens),
        _ => (400, "", r#"{"error":"invalid_grant","error_description":"FAKE-description"}"#.to_owned()),
    };
    let missing = match reply {
        Reply::Lost => return None,
        Reply::Short => 7,
        Reply::Slow(time) => {
            std::thread::sleep(time);
            0
        }
        _ => 0,
    };
    let length = match reply {
        Reply::Open => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len() + missing),
    };
    write!(stream, "HTTP/1.1 {status} X\r\n{length}{headers}Connection: close\r\n\r\n{body}").ok()?;
    stream.flush().ok()?;
    if matches!(reply, Reply::Open) {
        std::thread::sleep(Duration::from_secs(20));
    }
    if missing == 0 {
        stream.conn.send_close_notify();
        stream.flush().ok()?;
    }
    Some(())
}

/// Reads a request: its head, and its body of the announced length.
fn request(stream: &mut impl Read) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
    }
}

impl State {
    /// Spends the refresh token in `body` and returns the answer, or nothing if it is not the valid one.
    fn grant(&mut self, body: &str) -> Option<String> {
        let token = match serde_json::from_str::<serde_json::Value>(body) {
            Ok(json) => json["refresh_token"].as_str().map(str::to_owned),
            Err(_) => body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).map(str::to_owned),
        };
        if token.as_ref() != Some(&self.valid) {
            self.refused += 1;
            return None;
        }
        self.given += 1;
        let mut answer = serde_json::json!({
            "token_type": "Bearer", "expires_in": 28800, "scope": "FAKE-scope", "id_token": "FAKE-id-token",
            "access_token": format!("{}{}", self.access, self.given),
        });
        if self.rotates {
            self.valid = refresh_token(self.given);
            answer["refresh_token"] = self.valid.clone().into();
        }
        Some(answer.to_string())
    }
}
