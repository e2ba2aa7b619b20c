//! What OpenWrt's SDK makes of the feed. Its own ways are from its sources.

#[path = "router/mod.rs"]
mod router;

use std::process::Command;

use router::Folder;
use serde_json::Value;

/// What the packages feed has in the environment of every build (lang/rust/rust-values.mk).
const FEED: [(&str, &str); 8] = [
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "false"),
    ("CARGO_PROFILE_RELEASE_LTO", "true"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
    ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
    ("CARGO_PROFILE_RELEASE_RPATH", "false"),
];

/// How cargo would compile each of the units of which the programs are made, in a settled order.
#[track_caller]
fn units(folder: &Folder, profile: &str, environment: &[(&str, &str)]) -> Vec<(String, Value)> {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(["build", "--bins", "--locked", "--offline", "--profile", profile]);
    // It tells them, and builds nothing. Stable compilers hide that.
    command.args(["-Zunstable-options", "--unit-graph"]).env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_TARGET_DIR", folder.path("target"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PROFILE_")) {
        command.env_remove(name);
    }
    let output = command.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let graph: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |unit: &Value| format!("{} of {}: {}", unit["target"]["name"], unit["pkg_id"], unit["mode"]);
    graph["units"].as_array().unwrap().iter().map(|unit| (name(unit), unit["profile"].clone())).collect()
}

#[track_caller]
fn of_package<'a>(units: &'a [(String, Value)], target: &str) -> &'a Value {
    &units.iter().find(|(name, _)| name.starts_with(&format!("\"{target}\" of"))).expect(target).1
}

#[test]
fn the_feeds_settings_leave_the_programs_alone() {
    let folder = Folder::new("profile");
    // They do change what they are for: the names are those that cargo knows.
    let theirs = units(&folder, "release", &FEED);
    let theirs = of_package(&theirs, "cheaproute");
    assert_eq!((&theirs["panic"], &theirs["overflow_checks"]), (&"unwind".into(), &true.into()), "{theirs}");
    let (ours, in_feed) = (units(&folder, "router", &[]), units(&folder, "router", &FEED));
    for program in ["cheaproute", "playbacktun"] {
        let profile = of_package(&in_feed, program);
        let expected = [
            ("name", Value::from("router")),
            ("opt_level", "z".into()),
            ("lto", "fat".into()),
            ("codegen_units", 1.into()),
            ("debuginfo", 0.into()),
            ("debug_assertions", false.into()),
            ("overflow_checks", false.into()),
            ("panic", "abort".into()),
        ];
        for (key, value) in expected {
            assert_eq!(profile[key], value, "{program}: {key}");
        }
    }
    // What is compiled for speed stays so.
    assert_eq!(of_package(&in_feed, "seal")["opt_level"], "3");
    assert_eq!(ours, in_feed);
    // Said twice, the same each time: but for its name, it is what other machines run.
    let unnamed = |units: Vec<(String, Value)>| {
        let unnamed = |(name, mut profile): (String, Value)| {
            profile["name"] = Value::Null;
            (name, profile)
        };
        units.into_iter().map(unnamed).collect::<Vec<_>>()
    };
    assert_eq!(unnamed(ours), unnamed(units(&folder, "release", &[])));
}
