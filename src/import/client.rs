//! The login of an agent's own client on this host.
//!
//! In: where the agent's definition says that its client keeps its login. Out: what is there, in the
//! order of looking. What can go wrong: a keyring that is locked, a file that others could have written.

use super::{Ask, Error, Found};
use crate::agent::Definition;
use crate::config::Config;
use crate::names::AgentName;
use crate::source::Keeper;
use crate::source::host_login::{Place, places, read_files};

/// Every login of the client of `agent`; the first of use is the one that the client uses.
pub fn find(
    agent: &AgentName,
    definition: &Definition,
    keeper: &Keeper,
    config: &Config,
    ask: Ask<'_>,
) -> Vec<Result<Found, Error>> {
    let look = |place: Place| {
        let value = match &place {
            Place::Files(files) => read_files(files, keeper),
            Place::Ask(_, question) => ask(question),
        };
        // When it was stored is not known: a client writes it anew with each renewal.
        let found = |value| Found { agent: agent.clone(), value, created: None, expires: None, from: place.name() };
        match value {
            Ok(value) => value.map(|value| Ok(found(value))),
            Err(reason) => Some(Err(Error::Closed { from: place.name(), reason })),
        }
    };
    places(&definition.host, keeper, config).into_iter().filter_map(look).collect()
}
