//! Small files, as a whole. One way to read them for all: std's take four times the room.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::peer;

pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    drain(&mut File::open(path)?, usize::MAX, &mut bytes)?;
    Ok(bytes)
}

/// What is no UTF-8 becomes U+FFFD.
pub fn text(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read(path)?).into_owned())
}

/// What this user wrote: a text of anybody else's, or none, is an empty one. Root also takes that of whoever has the directory to
/// himself: a daemon that is not root's.
pub fn own(path: &Path) -> String {
    let user = peer::own_user();
    let owner = path.parent().and_then(|directory| fs::symlink_metadata(directory).ok());
    let owner = owner.filter(|at| user == 0 && at.is_dir() && at.mode() & 0o022 == 0).map(|at| at.uid());
    let is_ours = |at: &fs::Metadata| at.is_file() && (at.uid() == user || Some(at.uid()) == owner);
    if fs::symlink_metadata(path).is_ok_and(|at| is_ours(&at)) { text(path).unwrap_or_default() } else { String::new() }
}

/// Another file in the same directory: its name, and more.
pub fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

/// Makes a file of this user's what `text` says: whoever reads it meanwhile has the old text or the new one.
/// An empty one is taken away.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return fs::remove_file(path);
    }
    let new = beside(path, ".new");
    let _ = fs::remove_file(&new);
    // In a directory that is not ours, this name may be somebody else's link by now.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

/// Reads to the end, or until there is more than `most`: then what is above it may be missing.
pub fn drain(from: &mut dyn Read, most: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let mut part = [0; 2048];
    while into.len() <= most {
        match from.read(&mut part) {
            Ok(0) => break,
            Ok(length) => into.extend_from_slice(part.get(..length).unwrap_or(&part)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Halting(Vec<io::Result<Vec<u8>>>);

    impl Read for Halting {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some(next) = self.0.pop() else { return Ok(0) };
            let next = next?;
            into[..next.len()].copy_from_slice(&next);
            Ok(next.len())
        }
    }

    #[test]
    fn all_of_it_is_read() {
        let parts = || vec![Ok(b"c".to_vec()), Err(ErrorKind::Interrupted.into()), Ok(b"ab".to_vec())];
        let mut whole = Vec::new();
        drain(&mut Halting(parts()), usize::MAX, &mut whole).unwrap();
        assert_eq!(whole, b"abc");
        let mut some = Vec::new();
        drain(&mut Halting(parts()), 1, &mut some).unwrap();
        assert_eq!(some, b"ab");
        let wrong = drain(&mut Halting(vec![Err(ErrorKind::TimedOut.into())]), 9, &mut some);
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let path = std::env::temp_dir().join(format!("cheaproute-file-{}", std::process::id()));
        for text in ["one\n", "two\nlines\n"] {
            replace(&path, text).unwrap();
            assert_eq!(own(&path), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let theirs = |mode| {
            let directory = path.with_extension("d");
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("note"), "theirs").unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
            for place in [&directory, &directory.join("note")] {
                std::os::unix::fs::chown(place, Some(65534), None).unwrap();
            }
            let text = own(&directory.join("note"));
            fs::remove_dir_all(&directory).unwrap();
            text
        };
        if peer::own_user() == 0 {
            assert_eq!([theirs(0o755), theirs(0o777)], ["theirs", ""], "in a directory that is nobody else's");
        }
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(own(&link), "", "somebody else may have set it");
        fs::remove_file(&link).unwrap();
        replace(&path, "").unwrap();
        assert_eq!((own(&path), path.exists()), (String::new(), false));
    }

    #[test]
    fn text_is_text() {
        assert!(text(Path::new("/proc/self/status")).unwrap().starts_with("Name:"));
        assert_eq!(text(Path::new("/proc/no-such-file")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
