//! cheaproute
#![deny(unsafe_code)]
pub mod config;
pub mod link;
pub mod probe;
pub mod time;
