//! The real clients, in real containers, without a network: what they themselves say of the credential that
//! was delivered (`claude auth status` and its like), what reaches a server of theirs, which they
//! find in the container's own network namespace, what stands in the way of a credential, and what
//! becomes of a client that runs when its credential is renewed or taken away.
//!
//! `tests/lab/clients` names the versions, one line each, and installs them. Where npm cannot be reached, a test says
//! that it was skipped. The rows of the table that `make test` prints and docs/agents.md keeps are written by these
//! tests, from what was seen (see `row` and the script `table`).

#[path = "../lab/mod.rs"]
mod lab;

mod answers;
mod api;
mod claude;
mod client;
mod codex;
mod copilot;
mod gemini;
mod opencode;
mod podman;
mod prompts;
mod rotation;
mod row;
mod sandbox;
mod shadows;
