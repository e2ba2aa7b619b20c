//! Random bytes: `getrandom(2)`, which needs no file and waits, early after boot, until the kernel has enough of them.

use std::io;

/// Fills `bytes`. Fails on kernels before 3.17 only.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: `rest` is that many bytes to be written.
        let done = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match super::check_size(done) {
            Ok(done) => rest = rest.get_mut(done..).unwrap_or_default(),
            // A signal, while it waits.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let mut both = [[0; 300]; 2];
        for bytes in &mut both {
            fill(bytes).unwrap();
        }
        assert_ne!(both[0], both[1]);
        // All zeros at an end: 1 in 2^256.
        assert!(both.iter().all(|bytes| bytes[..32] != [0; 32] && bytes[268..] != [0; 32]));
        fill(&mut []).unwrap();
    }
}
