//! How people and programs look into the daemon: state documents, their two renderings, and the socket between.
//!
//! The daemon answers a request with a [`Value`], the same for all who ask: they hand it in at the [`desk`]. [`json`] and
//! [`view`] turn it into text, in the thread of the [`server`], so that the main loop never formats. The [`client`] is the
//! command line's end of the socket. (`crate::ubus` hands in requests, too.)

pub mod exit;
pub mod json;
pub mod read;
pub mod value;
pub mod view;

#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod client;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod desk;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod queue;
#[cfg(feature = "linux")]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod server;
#[cfg(all(test, feature = "linux"))]
mod server_tests;

pub use exit::{Code, Exit};
pub use value::Value;

/// Where the daemon listens unless told otherwise.
pub const SOCKET: &str = "/var/run/cheaproute/control.sock";

/// How an answer is to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Form {
    /// JSON instead of text.
    pub json: bool,
    /// The terminal's columns; 0 if the answer goes into a file or a pipe: text is not cut then, and JSON is one line.
    pub width: u16,
    pub color: bool,
}

/// The answer to the request `words`, as text that ends with a newline.
pub fn render(words: &[String], document: &Value, form: Form) -> String {
    match form.json {
        true => json::write(document, form.width > 0),
        false => view::render(words.first().map_or("", String::as_str), document, form),
    }
}
