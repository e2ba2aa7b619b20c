//! cheaproute
#![deny(unsafe_code)]
pub mod config;
pub mod link;
pub mod packet;
pub mod race;
pub mod steer;
pub mod time;
pub mod ubus;
#[cfg(feature = "linux")]
pub mod linux;
