//! cheaproute
#![deny(unsafe_code)]
#[cfg(feature = "linux")]
pub mod cli;
pub mod config;
pub mod control;
#[cfg(feature = "linux")]
pub mod daemon;
pub mod link;
#[cfg(feature = "linux")]
pub mod linux;
#[cfg(feature = "linux")]
pub mod logging;
pub mod packet;
pub mod race;
pub mod steer;
pub mod time;
