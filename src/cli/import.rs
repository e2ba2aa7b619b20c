//! `import-mwan3`: another program's configuration, as ours.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::print;
use crate::control::{Code, Exit};
use crate::import;
use crate::linux::file;

/// The configuration on stdout or into `output`, and on stderr what was left out or changed.
pub fn mwan3(path: &Path, output: Option<&Path>) -> Result<(), Exit> {
    let text = file::read(path)
        .map_err(|error| Exit::said(Code::Config, format_args!("cannot read {}: {error}", path.display())))?;
    let place = |path: &Path| fs::metadata(path).ok().map(|at| (at.dev(), at.ino()));
    if output.is_some_and(|output| place(output) == place(path)) {
        return Err(Exit::said(Code::Usage, format_args!("--output must not be the file that is read")));
    }
    // It lies beside mwan3's, on a router as in a backup.
    let network = file::read(&path.with_file_name("network")).ok();
    let result = import::mwan3(text, network.as_deref());
    let name = path.display().to_string();
    let mut stderr = io::stderr();
    let mut tell = |faults: &[crate::config::Fault]| {
        faults.iter().for_each(|fault| _ = writeln!(stderr, "{}", fault.in_file(&name)));
    };
    match result {
        Err(faults) => {
            tell(&faults);
            Err(Exit::said(Code::Config, format_args!("nothing is made of {name}: put this right first")))
        }
        Ok(import) => {
            tell(&import.notes);
            let Some(path) = output else { return print(&import.config) };
            write(path, &import.config)
                .map_err(|error| Exit::said(Code::Failed, format_args!("cannot write {}: {error}", path.display())))
        }
    }
}

/// All of it or nothing, with the rights that the file had. What is no file, such as /dev/stdout, is written to.
fn write(path: &Path, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(at) if !at.is_file() => fs::write(path, text),
        before => {
            file::replace(path, text)?;
            fs::set_permissions(path, before.map_or(fs::Permissions::from_mode(0o644), |at| at.permissions()))
        }
    }
}
