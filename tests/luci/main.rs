//! LuCI's pages in a real browser, before a real daemon on a real bus. Only LuCI itself is a stand-in (see page.rs).

#[path = "../support/mod.rs"]
mod support;

mod bridge;
mod browser;
mod files;
mod forms;
mod judge;
mod minified;
mod page;
mod pages;
mod rights;
mod stage;
mod texts;
mod troubles;
