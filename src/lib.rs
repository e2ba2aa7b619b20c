//! cheaproute races each new connection over every WAN link of a router and keeps the fastest answer.
//!
//! # Nouns
//! - **Link** ([`link`]): a WAN port with its addresses, weight, and health.
//! - **Opening** ([`packet`]): a connection's first packet. **Copy**: the same packet, as it leaves one link. **Answer**: what comes back.
//! - **Race** ([`race`]): one opening, its copies, and the first answer, which decides. The others are **losers**.
//! - **Policy** and **rule** ([`config`], [`steer`]): how a connection's link is chosen, and for which connections.
//! - **Split** ([`split`]): a connection's packets over two paths, to a host with two addresses.
//! - **Peer** ([`bond`]): another cheaproute, to which packets of even one connection go over several links. A **path** is one of
//!   those links.
//! - **Mark** ([`link::Marks`]): six bits of the packet mark that carry the choice through the kernel.
//! - **Probe** ([`probe`]): a question to a host that answers if its link works.
//!
//! # The life of a connection
//! 1. A client's SYN comes in. nft writes the policy's best link into its mark and asks for a race; the routing follows the
//!    mark; the router's own firewall accepts it or not. [`steer`] has the table of hooks.
//! 2. What was accepted is queued to the race's thread ([`daemon`]), parsed ([`packet`]), and begins a race ([`race`]): a copy
//!    leaves every link that is up, from the link's own address. The SYN itself is dropped.
//! 3. The kernel notes each copy's tuple as it leaves, and queues what answers to one. Nothing else that arrives is ever
//!    queued.
//! 4. The first good answer wins. The daemon creates the flow's conntrack entry, as if the SYN had left by that link and been
//!    masqueraded; then it lets the answer pass, and the kernel translates it back to the client. The losers are reset.
//! 5. Every later packet stays in the kernel: conntrack remembers the link, nft puts it into the mark, the routing follows.
//!
//! A daemon that dies or hangs stops nothing: the queues let packets pass, and their marks already name a good link.
//!
//! # The tree
//! Cores take bytes, events and the time, and return actions and their next deadline: [`config`], [`packet`], [`race`],
//! [`probe`], [`split`], [`steer`], [`bond`]. They have no clock, no socket and no unsafe code; the lints of clippy.toml and a build without
//! the feature `linux` prove it. [`kernel`] says what they need of the kernel, with a fake one beside; `linux` is the real
//! one, the only place that is unsafe and makes system calls past std's. (Ciphers are a crate of their own, [`seal`], which is unsafe
//! where a processor has vectors.) `daemon` wires them together; `control`, `ubus` and `cli` are how people look in. [`import`] makes configurations of other programs' ones. [`playback`] is the core of another program, `playbacktun`, which
//! sends packets that are written as JSON.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod bond;
pub mod config;
pub mod control;
pub mod family;
pub mod import;
pub mod kernel;
pub mod link;
pub mod packet;
pub mod playback;
pub mod prefix;
pub mod probe;
pub mod race;
pub mod split;
pub mod steer;
pub mod text;
pub mod time;
pub mod ubus;

#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod cli;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod daemon;
#[cfg(feature = "linux")]
pub mod linux;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod logging;
