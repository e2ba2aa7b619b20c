//! Threads. (std's bring printf along, for their names, and much else that nobody here asks for: 20 KB of code.)

use std::ffi::CStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A thread that was started. Dropped, it runs on by itself.
pub struct Thread {
    id: libc::pthread_t,
    ended: Arc<AtomicBool>,
    joined: bool,
}

struct Start {
    name: &'static CStr,
    body: Box<dyn FnOnce() + Send>,
    ended: Arc<AtomicBool>,
}

impl Thread {
    /// Starts one. `name`, up to 15 bytes, is what `ps` and `top` show; `stack` is in bytes.
    pub fn start(name: &'static CStr, stack: usize, body: Box<dyn FnOnce() + Send>) -> io::Result<Thread> {
        let ended = Arc::new(AtomicBool::new(false));
        let start = Box::into_raw(Box::new(Start { name, body, ended: ended.clone() }));
        // SAFETY: the attributes are made before they are used and destroyed after; zeroes are valid for both types. Who
        // owns `start` is the thread, and we again only if there is none.
        unsafe {
            let (mut attributes, mut id) = (core::mem::zeroed(), core::mem::zeroed());
            check(libc::pthread_attr_init(&mut attributes)).inspect_err(|_| drop(Box::from_raw(start)))?;
            // What is no multiple of the page, or too little, leaves the default in place.
            libc::pthread_attr_setstacksize(&mut attributes, stack);
            let started = check(libc::pthread_create(&mut id, &attributes, main, start.cast()));
            libc::pthread_attr_destroy(&mut attributes);
            match started {
                Ok(()) => Ok(Thread { id, ended, joined: false }),
                Err(error) => {
                    drop(Box::from_raw(start));
                    Err(error)
                }
            }
        }
    }

    pub fn is_finished(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits for its end.
    pub fn join(mut self) {
        self.joined = true;
        // SAFETY: `id` is a thread that was neither joined nor detached: this takes `self`.
        unsafe { libc::pthread_join(self.id, core::ptr::null_mut()) };
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if !self.joined {
            // SAFETY: as in `join`.
            unsafe { libc::pthread_detach(self.id) };
        }
    }
}

// SAFETY: the number of a thread may be used by any other one (pthreads(7)).
unsafe impl Send for Thread {}
// SAFETY: as above; only its owner joins or detaches it.
unsafe impl Sync for Thread {}

extern "C" fn main(start: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: it is what `Thread::start` made, and nobody else's. A name is readable up to its zero.
    let Start { body, ended, .. } = *unsafe {
        let start = Box::from_raw(start.cast::<Start>());
        libc::prctl(libc::PR_SET_NAME, start.name.as_ptr());
        start
    };
    body();
    ended.store(true, Ordering::Release);
    core::ptr::null_mut()
}

/// What the functions of pthreads return: zero, or the error's number.
fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_runs_and_ends() -> io::Result<()> {
        let ((go, wait), (sender, receiver)) = (channel::<()>(), channel());
        let thread = Thread::start(
            c"some name",
            256 * 1024,
            Box::new(move || {
                let _ = wait.recv();
                let _ = sender.send(std::fs::read_to_string("/proc/thread-self/comm"));
            }),
        )?;
        assert!(!thread.is_finished());
        drop(go);
        assert_eq!(receiver.recv().expect("the thread's word")?, "some name\n");
        let ended = thread.ended.clone();
        thread.join();
        assert!(ended.load(Ordering::Acquire));
        Ok(())
    }
}
