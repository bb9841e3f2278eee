//! What there is to say about one run. Warnings of a successful start must not go to standard
//! error, which becomes the container's own log; the driver decides where they go instead.

/// One sentence from an error and its causes, without saying twice what a message says already.
pub fn sentence<T: std::fmt::Display>(chain: impl Iterator<Item = T>) -> String {
    chain.map(|cause| cause.to_string()).fold(String::new(), |said, cause| match said {
        said if said.is_empty() => cause,
        said if said.contains(&cause) => said,
        said => format!("{said}: {cause}"),
    })
}

/// Collects messages; they never hold a value of a secret.
#[derive(Debug, Default)]
pub struct Journal {
    /// What needs attention.
    pub warnings: Vec<String>,
    /// Why things are as they are: which source was used, which were passed over.
    pub details: Vec<String>,
    /// A request was found but ignored for want of consent.
    pub ignored: bool,
}

impl Journal {
    /// Notes something that needs attention.
    pub fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }

    /// Notes an explanation.
    pub fn debug(&mut self, message: String) {
        self.details.push(message);
    }
}
