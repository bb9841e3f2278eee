//! A client's login program in a terminal: what the user sees and types, and what is taken from it.

#![cfg(feature = "login")]

mod driver;
mod fake;
mod outer;
mod real;
mod streams;
