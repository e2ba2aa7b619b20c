//! The template for translators: every text of the app, as LuCI's own scanner would find it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::page::{app, app_directory};

const TEMPLATE: &str = "po/templates/cheaproute.pot";

/// Run with `CHEAPROUTE_WRITE_SAMPLE=1` to write the file instead.
#[test]
fn the_template_has_every_text() {
    let path = app_directory().join(TEMPLATE);
    let made = template();
    if std::env::var_os("CHEAPROUTE_WRITE_SAMPLE").is_some() {
        fs::write(path, made).unwrap();
        return;
    }
    let how = "CHEAPROUTE_WRITE_SAMPLE=1 cargo test --test luci the_template";
    let committed = fs::read_to_string(path).unwrap();
    assert!(made == committed, "{TEMPLATE} lacks texts or has old ones; write it anew with: {how}");
}

fn template() -> String {
    // Text to the files that it is in.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut note = |text: String, file: &str| {
        let files = texts.entry(text).or_default();
        if files.last().is_none_or(|last| last != file) {
            files.push(file.to_owned());
        }
    };
    for path in scripts() {
        let name = path.strip_prefix(app_directory()).unwrap().to_str().unwrap().to_owned();
        calls(&fs::read_to_string(&path).unwrap()).into_iter().for_each(|text| note(text, &name));
    }
    let menu = "root/usr/share/luci/menu.d/luci-app-cheaproute.json";
    for entry in app(menu).as_object().unwrap().values() {
        note(entry["title"].as_str().unwrap().to_owned(), menu);
    }
    let acl = "root/usr/share/rpcd/acl.d/luci-app-cheaproute.json";
    for group in app(acl).as_object().unwrap().values() {
        note(group["description"].as_str().unwrap().to_owned(), acl);
    }
    let mut out = String::from("msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\"\n");
    for (text, files) in texts {
        out.push('\n');
        files.iter().for_each(|file| out += &format!("#: applications/luci-app-cheaproute/{file}\n"));
        out += &format!(
            "msgid \"{}\"\nmsgstr \"\"\n",
            text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
        );
    }
    out
}

/// The app's scripts, in a settled order.
pub fn scripts() -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "js") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&app_directory().join("htdocs"), &mut found);
    found.sort();
    found
}

/// The texts in the calls of `_()`, which must be literals between single quotes: LuCI's scanner knows no others.
fn calls(source: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for (at, _) in source.match_indices("_(") {
        let before = source[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') {
            continue;
        }
        let rest = source[at + 2..].trim_start();
        let literal = rest.strip_prefix('\'').unwrap_or_else(|| panic!("no literal: {}", &rest[..rest.len().min(40)]));
        let mut text = String::new();
        let mut letters = literal.chars();
        loop {
            match letters.next().expect("the end of a literal") {
                '\'' => break,
                '\\' => text.extend(letters.next()),
                letter => text.push(letter),
            }
        }
        texts.push(text);
    }
    texts
}
