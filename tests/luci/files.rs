//! What can be said of the app's files without a browser.

use std::fs;

use super::page::{app, app_directory};
use super::texts::scripts;

/// Methods that tell who connects where, with those to come.
const PRIVATE: [&str; 3] = ["races", "memory", "why"];

fn methods(group: &str, side: &str) -> Vec<String> {
    let acl = app("root/usr/share/rpcd/acl.d/luci-app-cheaproute.json");
    let list = acl[group][side]["ubus"]["cheaproute"].as_array().cloned().unwrap_or_default();
    list.iter().map(|method| method.as_str().unwrap().to_owned()).collect()
}

#[test]
fn menu_leads_to_views_by_groups_that_there_are() {
    let acl = app("root/usr/share/rpcd/acl.d/luci-app-cheaproute.json");
    let menu = app("root/usr/share/luci/menu.d/luci-app-cheaproute.json");
    for (path, entry) in menu.as_object().unwrap() {
        let view = entry["action"]["path"].as_str().unwrap();
        let file = app_directory().join(format!("htdocs/luci-static/resources/view/{view}.js"));
        assert!(file.is_file(), "{path}: {}", file.display());
        for group in entry["depends"]["acl"].as_array().unwrap() {
            assert!(acl[group.as_str().unwrap()].is_object(), "{path}: {group}");
        }
    }
}

#[test]
fn who_may_see_the_status_alone_sees_nobodys_connections() {
    let seen = methods("luci-app-cheaproute-status", "read");
    assert!(seen.iter().all(|method| !PRIVATE.contains(&method.as_str())), "{seen:?}");
    assert!(methods("luci-app-cheaproute-status", "write").is_empty());
    let configurer = methods("luci-app-cheaproute", "read");
    assert!(PRIVATE.iter().all(|method| configurer.iter().any(|known| known == method)));
    let changes = ["reload", "probe", "set_link", "genkey"];
    assert!(changes.iter().all(|method| !configurer.iter().any(|known| known == method)), "reading changes nothing");
    assert_eq!(methods("luci-app-cheaproute", "write"), changes);
}

/// A form cannot hide what a session may read.
#[test]
fn who_may_read_the_configuration_is_said_to_see_its_keys() {
    let acl = app("root/usr/share/rpcd/acl.d/luci-app-cheaproute.json");
    for (group, rights) in acl.as_object().unwrap() {
        let told = rights["description"].as_str().unwrap().contains("secret keys");
        assert_eq!(told, rights["read"]["uci"].is_array(), "{group}");
    }
}

/// LuCI's E() takes a text that is not in a list for HTML: none may come from elsewhere than a literal.
#[test]
fn pages_are_made_of_nodes() {
    for path in scripts() {
        let source = fs::read_to_string(&path).unwrap();
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!source.contains(forbidden), "{}: {forbidden}", path.display());
        }
        assert!(source.starts_with("'use strict';\n"), "{}", path.display());
    }
}

#[test]
fn the_app_has_the_version_of_the_daemon() {
    let makefile = fs::read_to_string(app_directory().join("Makefile")).unwrap();
    let line = concat!("PKG_VERSION:=", env!("CARGO_PKG_VERSION"));
    assert!(makefile.lines().any(|known| known == line), "{line}");
    // luci.mk would send those who have a question about this app to LuCI's own people.
    for line in ["LUCI_MAINTAINER:=$(PKG_MAINTAINER)", "LUCI_URL:=https://cheaproute.example/"] {
        assert!(makefile.lines().any(|known| known == line), "{line}");
    }
}
