//! What both demos have: a folder of their own, and a voice.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::{fs, io, process};

/// A folder that goes when the demo does. It holds keys: nobody else may look.
pub struct Folder(PathBuf);

impl Folder {
    /// New: whoever made a folder of that name first does not get what we write.
    pub fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("cheaproute-demo-{}", process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn title(text: &str) {
    println!("\n▸ {text}");
}

pub fn say(text: impl AsRef<str>) {
    println!("  {}", text.as_ref());
}
