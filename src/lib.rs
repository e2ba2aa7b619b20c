//! cheaproute
#![deny(unsafe_code)]
pub mod config;
#[cfg(feature = "linux")]
pub mod daemon;
pub mod kernel;
pub mod link;
#[cfg(feature = "linux")]
pub mod linux;
pub mod packet;
pub mod probe;
pub mod race;
pub mod steer;
pub mod time;
