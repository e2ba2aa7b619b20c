//! ubus, OpenWrt's bus: what the daemon asks of netifd.
//!
//! [`blob`] and [`message`] are the wire format, [`netifd`] the meaning of one reply: no I/O in them. [`connection`] is a
//! socket that carries messages, [`client`] asks over it, and [`follow`] is the thread that the daemon starts.
//!
//! The codec is that of crate `ubus-zero`, whose library is named `ubus`, too: `::ubus`. Its client and its server are not
//! used: they hide the socket, and the server has neither notifications nor a status of one's own.

pub mod blob;
pub mod message;
pub mod netifd;

#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)] // clocks and sockets, as in `linux`
pub mod client;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod connection;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod follow;

#[cfg(test)]
mod codec_tests;
