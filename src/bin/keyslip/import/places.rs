//! Asking the places that may keep what another tool has stored.

use std::cell::OnceCell;
use std::time::Duration;

use keyslip::backend::keychain;
use keyslip::backend::keyring::{self, Keyring};
use keyslip::secret::Secret;
use keyslip::site::Site;
use keyslip::source::question::{Answer, Question};
use keyslip::source::{Keeper, ask};

/// Keyrings of the keeper, over one connection.
pub struct Places<'a> {
    keeper: &'a Keeper,
    site: &'a Site,
    keyring: OnceCell<Keyring>,
}

impl<'a> Places<'a> {
    pub fn of(keeper: &'a Keeper, site: &'a Site) -> Self {
        Self { keeper, site, keyring: OnceCell::new() }
    }

    /// Answers a question; an error says why nobody can, and what to do.
    pub fn ask(&self, question: &Question) -> Result<Option<Secret>, String> {
        match question {
            Question::Keyring(attributes) if self.keeper.user.is_none() => {
                let attributes: Vec<(&str, &str)> =
                    attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
                let items =
                    self.keyring().and_then(|keyring| keyring.find(&attributes)).map_err(|error| error.to_string())?;
                Ok(items.into_iter().next().map(|item| item.secret))
            }
            Question::Keychain { program, service, account } if self.keeper.user.is_none() => {
                let limit = Duration::from_secs(question.limit());
                keychain::find(program, service, account, limit).map_err(|error| error.to_string())
            }
            // Somebody else's is read by a process of theirs.
            _ => match ask(question, self.keeper, self.site) {
                Answer::Found { credential, .. } => Ok(Some(Secret::from_text(&credential))),
                Answer::None => Ok(None),
                Answer::Unavailable(why) => Err(why),
            },
        }
    }

    fn keyring(&self) -> Result<&Keyring, keyring::Error> {
        if let Some(keyring) = self.keyring.get() {
            return Ok(keyring);
        }
        let opened = Keyring::open()?;
        Ok(self.keyring.get_or_init(|| opened))
    }
}
