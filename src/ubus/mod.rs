//! ubus, OpenWrt's bus: what the daemon asks of netifd, and what others ask of the daemon there.
//!
//! [`blob`] and [`message`] are the wire format, [`netifd`] the meaning of one reply, [`object`] what our own object
//! offers: no I/O in them. `connection` is a socket that carries messages, `client` asks over it; `follow` and `serve` are
//! the two threads that the daemon starts, each with a connection of its own, so that neither waits for the other's peers.
//!
//! The codec is that of crate `ubus-zero`, whose library is named `ubus`, too: `::ubus`. Its client and its server are not
//! used: they hide the socket, and the server has neither notifications nor a status of one's own.

pub mod blob;
pub mod message;
pub mod netifd;
pub mod object;

#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)] // clocks and sockets, as in `linux`
pub mod client;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod connection;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod follow;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod serve;

#[cfg(test)]
mod codec_tests;
