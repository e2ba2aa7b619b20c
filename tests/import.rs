//! `import-mwan3` as a user runs it: what it makes can be used at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHIPPED: &str = include_str!("data/mwan3.config");

/// A directory with these files, which goes away with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        files.iter().for_each(|(file, text)| fs::write(directory.join(file), text).unwrap());
        Files(directory)
    }

    /// Runs cheaproute there: its exit status, and what it said on stdout and stderr.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cheaproute"));
        let output = command.args(arguments).current_dir(&self.0).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_mwan3_ships_can_be_used() {
    let network = "config interface 'wan'\n\toption device 'eth1'\nconfig interface 'lan'\n\toption device 'br-lan'\n";
    let more = "\nconfig rule 'guests'\n\toption src_iface 'lan'\n\toption use_policy 'wanb_only'\n\toption size '3'\n";
    let files = Files::new("shipped", &[("mwan3", &(SHIPPED.to_owned() + more)), ("network", network)]);
    let (code, text, said) = files.run(&["import-mwan3", "./mwan3"]);
    assert_eq!(code, Some(0), "{said}");
    for words in ["./mwan3:4: globals 'globals': option 'mmx_mask'", "rule 'guests': option 'size': is left out"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(text.contains("option src_device 'br-lan'"), "the file network beside it tells");
    // Its rules use this policy with and without sticky; the one without can be made to race.
    assert!(text.contains("config policy 'balanced'\n") && text.contains("config policy 'balanced_600s'\n"), "{text}");
    fs::write(
        files.0.join("race"),
        text.replace("'balanced'\n\toption mode 'weighted'", "'balanced'\n\toption mode 'race'"),
    )
    .unwrap();
    let (code, checked, faults) = files.run(&["check", "-c", "race"]);
    assert!(
        code == Some(0) && fs::read_to_string(files.0.join("race")).unwrap().contains("'race'\n\tlist"),
        "{checked}{faults}"
    );
    let (code, nothing, _) = files.run(&["import-mwan3", "mwan3", "--output", "new"]);
    assert_eq!((code, nothing.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(files.0.join("new")).unwrap(), text);
    let (code, checked, faults) = files.run(&["check", "-c", "new"]);
    assert_eq!(code, Some(0), "{faults}");
    assert!(checked.contains("OK, 1 link, 6 policies"), "{checked}");
}

#[test]
fn what_cannot_be_read_writes_nothing() {
    let files =
        Files::new("broken", &[("mwan3", "config interface 'wan'\n\toption enabled '1\nconfg x\n"), ("new", "old")]);
    let (code, _, said) = files.run(&["import-mwan3", "mwan3", "-o", "new"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("mwan3:2:") && said.contains("never closed"), "{said}");
    assert_eq!(fs::read_to_string(files.0.join("new")).unwrap(), "old");
    let (code, _, said) = files.run(&["import-mwan3", "nowhere"]);
    assert!(code == Some(3) && said.contains("cannot read nowhere"), "{said}");
}

#[test]
fn a_file_is_replaced_as_a_whole_and_never_the_one_that_is_read() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let files = Files::new("replaced", &[("mwan3", SHIPPED), ("old", "old")]);
    let old = files.0.join("old");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    let held = fs::File::open(&old).unwrap();
    assert_eq!(files.run(&["import-mwan3", "mwan3", "-o", "old"]).0, Some(0));
    let (was, is) = (held.metadata().unwrap(), fs::metadata(&old).unwrap());
    assert!(was.ino() != is.ino() && is.mode() & 0o777 == 0o640, "{is:?}");
    assert_eq!(std::io::read_to_string(held).unwrap(), "old", "whoever reads meanwhile has all of it");
    assert_eq!(files.run(&["import-mwan3", "mwan3", "-o", "new"]).0, Some(0));
    assert_eq!(fs::metadata(files.0.join("new")).unwrap().mode() & 0o777, 0o644);
    // What is no file is written to.
    let (code, text, _) = files.run(&["import-mwan3", "mwan3", "-o", "/dev/stdout"]);
    assert!(code == Some(0) && text.contains("config link 'wan'"));
    std::os::unix::fs::symlink("mwan3", files.0.join("link")).unwrap();
    for output in ["mwan3", "./mwan3", "link"] {
        let (code, _, said) = files.run(&["import-mwan3", "mwan3", "-o", output]);
        assert!(code == Some(2) && said.contains("must not be the file that is read"), "{code:?} {said}");
    }
    assert_eq!(fs::read_to_string(files.0.join("mwan3")).unwrap(), SHIPPED);
}
