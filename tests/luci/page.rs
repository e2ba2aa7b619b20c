//! The pages and the files that they are made of: the app's own, and the stand-in's for LuCI's.
//!
//! With the environment variable `CHEAPROUTE_LUCI` naming a checkout of LuCI, its real files take the stand-in's place.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::rights::ADMIN;

pub fn app_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/luci-app-cheaproute")
}

/// A JSON file of the app.
pub fn app(path: &str) -> Value {
    let text = fs::read_to_string(app_directory().join(path)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// LuCI's own files, if they are to be used.
pub fn real() -> Option<PathBuf> {
    std::env::var_os("CHEAPROUTE_LUCI").map(PathBuf::from)
}

/// `/page/VIEW?USER`: what LuCI's dispatcher would make of a view.
pub fn serve(path: &str, user: &str) -> Option<String> {
    let view = path.strip_prefix("/page/")?;
    let mut environment = json!({
        "sessionid": user, "token": "1", "resource": "/luci-static/resources", "media": "/luci-static/bootstrap",
        "scriptname": "/cgi-bin/luci", "pathinfo": "", "requestpath": ["admin"], "dispatchpath": ["admin"],
        "pollinterval": 5, "ubuspath": "/ubus/", "apply_rollback": 90, "apply_holdoff": 0.1, "apply_timeout": 5,
        "apply_display": 0.1, "rollback_token": null,
    });
    environment["nodespec"] = json!({ "satisfied": true, "readonly": user != ADMIN });
    let head = "<!DOCTYPE html><html><head><meta charset='utf-8'><title>test</title><link rel='icon' href='data:,'>\
                <meta name='viewport' content='initial-scale=1.0'>";
    let body = "<body><div id='maincontent' class='container'><div id='tabmenu'></div>";
    Some(match real() {
        None => {
            let start = match view {
                "overview" => OVERVIEW.to_owned(),
                view => format!("L.require('view.{}');", view.replace('/', ".")),
            };
            format!(
                "{head}<link rel='stylesheet' href='/luci-static/resources/theme.css'></head>{body}<div id='view'></div></div>\
                 <script>window.env = {environment};</script><script src='/luci-static/resources/luci.js'></script>\
                 <script>{start}</script></body></html>"
            )
        }
        Some(_) => {
            let start = match view {
                "overview" => OVERVIEW.to_owned(),
                view => format!("L.require('ui').then((ui) => ui.instantiateView('{view}'));"),
            };
            // LuCI up to 23.05 has it.
            let promises = "/luci-static/resources/promis.min.js";
            let promises = file(promises).map(|_| format!("<script src='{promises}'></script>")).unwrap_or_default();
            format!(
                "{head}<script>const dark = matchMedia('(prefers-color-scheme: dark)'); \
                 const set = () => document.documentElement.setAttribute('data-darkmode', dark.matches); \
                 dark.addEventListener('change', set); set();</script>\
                 <link rel='stylesheet' href='/luci-static/bootstrap/cascade.css'>\
                 <link rel='stylesheet' media='only screen and (max-device-width: 854px)' href='/luci-static/bootstrap/mobile.css'>\
                 <script src='/luci-static/resources/cbi.js'></script></head>{body}\
                 {promises}<script src='/luci-static/resources/luci.js'></script>\
                 <script>L = new LuCI({environment});</script>\
                 <div id='indicators'></div><div id='view'><script>{start}</script></div></div></body></html>"
            )
        }
    })
}

/// As LuCI's own overview treats what is included in it, only more often: it keeps what it has where there is nothing new.
const OVERVIEW: &str = "L.require('view.status.include.35_cheaproute').then((include) => {
    const show = async () => {
        const content = include.render(await include.load());
        if (content)
            document.getElementById('view').replaceChildren(content);
        document.body.dataset.shown = content != null;
    };
    setInterval(show, 500);
    return show();
});";

pub fn file(path: &str) -> Option<Vec<u8>> {
    if path.contains("..") {
        return None;
    }
    let path = path.strip_prefix('/')?;
    let mut roots = vec![app_directory().join("htdocs")];
    match real() {
        Some(luci) => {
            roots.push(luci.join("modules/luci-base/htdocs"));
            roots.push(luci.join("themes/luci-theme-bootstrap/htdocs"));
        }
        None => {
            let standin = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/luci/standin");
            let name = path.strip_prefix("luci-static/resources/")?;
            return fs::read(roots[0].join(path)).or_else(|_| fs::read(standin.join(name))).ok();
        }
    }
    roots.iter().find_map(|root| fs::read(root.join(path)).ok())
}
