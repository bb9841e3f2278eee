//! May the container have what it asks for?
//!
//! In: what was found in the specification, the [`Caller`] (known from the installation, never
//! from the specification), the configuration. Out: the [`Request`] that is consented to and
//! allowed, or nothing. What can go wrong: a consented request that no rule allows stops the
//! container, and the error says which rule would allow it. An unconsented one, such as annotations
//! that an image may have set, is ignored with a warning.

mod caller;
mod consent;
mod rules;

pub use caller::{Caller, Installed};
pub use rules::Denied;

use crate::config::Config;
use crate::journal::Journal;
use crate::names::AgentRef;
use crate::request::{self, Form, Found, Request};
use crate::site::Site;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong.
    #[error(transparent)]
    Request(#[from] request::Error),
    /// No rule allows it.
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// A request that may be served.
#[derive(Debug)]
pub struct Granted {
    /// What is to be delivered.
    pub request: Request,
    /// How it was asked for.
    pub form: Form,
    /// Positions of the mounts that were requests: the container does not get them.
    pub mounts: Vec<usize>,
}

/// Decides about everything that was found.
///
/// # Errors
/// When a consented request is malformed or not allowed.
pub fn decide(
    found: Found,
    caller: &Caller,
    config: &Config,
    site: &Site,
    journal: &mut Journal,
) -> Result<Option<Granted>, Error> {
    let annotated = match (found.by_annotation, consent::of_annotations(caller, config)) {
        (Ok(request), _) if request.is_empty() => None,
        (result, Ok(())) => Some(result?),
        (_, Err(reason)) => {
            let file = site.config_file();
            journal.warn(format!(
                "the annotations of {} were ignored: {reason}; if you run only images you trust, put \
                 trust_annotations = true under [engines.{}] in {}",
                caller.container,
                caller.engine,
                file.display()
            ));
            journal.ignored = true;
            None
        }
    };
    let mut mounts = found.by_mount.secret_at;
    let mut plain = found.by_mount.plain;
    match consent::of_plain_mounts(&caller.engine) {
        Ok(()) => mounts.extend(found.by_mount.plain_at),
        Err(_) if plain.is_empty() => {}
        Err(reason) => {
            journal.warn(format!("a request mount of {} was ignored: {reason}", caller.container));
            journal.ignored = true;
            plain = Request::default();
        }
    }
    let forms = [
        (annotated, Form::Annotation),
        (Some(found.by_mount.secret), Form::Mount),
        (Some(plain), Form::Mount),
        (Some(found.by_device), Form::Cdi),
    ];
    let mut granted: Option<Granted> = None;
    for (request, form) in forms {
        let Some(request) = request.filter(|request| !request.is_empty()) else { continue };
        granted = Some(match granted {
            None => Granted { request, form, mounts: mounts.clone() },
            Some(before) => Granted { request: before.request.merged(request)?, ..before },
        });
    }
    Ok(granted)
}

/// Checks what is to be delivered, templates resolved, against the rules; returns the agents with the
/// accounts that the rules give them.
///
/// # Errors
/// When a part is not allowed; the error names the rule that would allow it.
pub fn allow(
    wanted: &rules::Wanted<'_>,
    caller: &Caller,
    config: &Config,
    site: &Site,
) -> Result<Vec<AgentRef>, Denied> {
    match &caller.claimed {
        None => rules::check(wanted, caller, config, site),
        Some(claimed) => rules::check_claimed(wanted, (caller, claimed), config, site),
    }
}

pub use consent::podman_copies_annotations;
pub use rules::Wanted;
