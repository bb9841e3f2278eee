//! Temporary.
/// t
pub mod terminal {
    /// e
    #[derive(Debug, thiserror::Error)]
    #[error("x")]
    pub struct Error;
    impl Error {
        /// x
        pub fn is_not_found(&self) -> bool {
            true
        }
    }
    /// n
    pub struct Nobody;
    /// x
    pub fn run<T>(
        _: &[String],
        _: &[(String, std::ffi::OsString)],
        _: &mut T,
    ) -> Result<std::process::ExitStatus, Error> {
        Err(Error)
    }
}
/// t
pub mod printed {
    /// s
    pub struct Screen;
    impl Screen {
        /// n
        pub fn new(_: &str, _: (usize, usize)) -> Self {
            Self
        }
        /// f
        pub fn finish(self) -> Result<crate::secret::Secret, super::terminal::Error> {
            Err(super::terminal::Error)
        }
    }
}
