//! What users may do, by the app's ACL file, as rpcd reads it at a login.

use serde_json::Value;

use super::page::app;

/// May do all that the app knows.
pub const ADMIN: &str = "admin";
/// Is in the group for the status alone.
pub const WATCHER: &str = "watcher";
/// May read all that the app knows, and change nothing.
pub const READER: &str = "reader";

pub struct Rights(Value);

impl Rights {
    pub fn read() -> Self {
        Rights(app("root/usr/share/rpcd/acl.d/luci-app-cheaproute.json"))
    }

    /// Whether a session of `user` may: a method of an object of ubus, or `read` or `write` a configuration of UCI.
    pub fn allow(&self, user: &str, scope: &str, object: &str, function: &str) -> bool {
        let groups: &[&str] = match user {
            ADMIN | READER => &["luci-app-cheaproute-status", "luci-app-cheaproute"],
            WATCHER => &["luci-app-cheaproute-status"],
            _ => &[],
        };
        let has =
            |list: &Value, wanted: &str| list.as_array().is_some_and(|list| list.iter().any(|item| item == wanted));
        let sides: &[&str] = if user == READER { &["read"] } else { &["read", "write"] };
        groups.iter().any(|group| match scope {
            "ubus" => sides.iter().any(|side| has(&self.0[*group][*side]["ubus"][object], function)),
            "uci" => sides.contains(&function) && has(&self.0[*group][function]["uci"], object),
            "access-group" => sides.contains(&function) && !self.0[object][function].is_null() && object == *group,
            _ => false,
        })
    }
}
