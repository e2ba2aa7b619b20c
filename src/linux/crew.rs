//! Work shared out over threads: pieces that ask nothing of one another, done when the call returns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::check;
use super::thread::Thread;

/// Of a helper: its work is a cipher's.
const STACK: usize = 64 * 1024;

/// The process's own. Helpers begin when there is work for them first, and then sleep until there is more.
static CREW: Crew = Crew {
    caller: Mutex::new(()),
    state: Mutex::new(State {
        task: None,
        number: 0,
        busy: 0,
        started: 0,
        threads: [0; MOST],
        running: 0,
        avoided: -1,
    }),
    begun: Condvar::new(),
    ended: Condvar::new(),
    next: AtomicUsize::new(0),
};

/// The most helpers: a third and more of a datagram's work is one thread's.
pub const MOST: usize = 3;

struct Crew {
    /// One at a time.
    caller: Mutex<()>,
    state: Mutex<State>,
    begun: Condvar,
    ended: Condvar,
    /// The next piece that nobody has taken.
    next: AtomicUsize,
}

struct State {
    task: Option<Task>,
    /// Of the last one.
    number: u64,
    /// Helpers at work on it.
    busy: usize,
    started: usize,
    /// The helpers' numbers, of those that run.
    threads: [libc::pid_t; MOST],
    running: usize,
    /// The caller's processor, which is not theirs: the kernel likes to wake a thread where its waker is, and there it would wait
    /// until that one is done.
    avoided: libc::c_int,
}

/// Pieces of work, wherever and of whatever type they are.
#[derive(Clone, Copy)]
struct Task {
    number: u64,
    pieces: *mut (),
    count: usize,
    work: *const (),
    /// Does the piece of this number. Callable once for each, while [`share`] that made it has not returned.
    run: unsafe fn(*const (), *mut (), usize),
}

// SAFETY: what it points to may go to other threads: `share` asks for `Send`, and of the work for `Sync`.
unsafe impl Send for Task {}

/// Does `work` to each of the pieces, on this thread and up to so many others, and returns when all are done.
pub fn share<T: Send>(helpers: usize, pieces: &mut [T], work: &(impl Fn(&mut T) + Sync)) {
    /// # Safety
    /// `work` points to an `F`, `pieces` to more than `at` `T`s, that one of them nobody else uses, until this returns.
    unsafe fn run<T, F: Fn(&mut T)>(work: *const (), pieces: *mut (), at: usize) {
        // SAFETY: as the caller says.
        unsafe { (*work.cast::<F>())(&mut *pieces.cast::<T>().add(at)) }
    }
    fn erased<T, F: Fn(&mut T)>(_: &F) -> unsafe fn(*const (), *mut (), usize) {
        run::<T, F>
    }
    let task = Task {
        number: 0,
        pieces: pieces.as_mut_ptr().cast(),
        count: pieces.len(),
        work: (&raw const *work).cast(),
        run: erased::<T, _>(work),
    };
    CREW.share(helpers, task);
}

impl Crew {
    fn share(&self, helpers: usize, mut task: Task) {
        let _alone = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        while state.started < helpers.min(MOST) {
            state.started += 1;
            // Without it, others do its part.
            let _ = Thread::start(c"bond-cipher", STACK, Box::new(|| CREW.help()));
        }
        state.avoid();
        state.number += 1;
        task.number = state.number;
        state.task = Some(task);
        self.next.store(0, Ordering::Relaxed);
        drop(state);
        self.begun.notify_all();
        // Whatever happens: nobody else touches the pieces after this.
        let _end = End;
        self.work_on(&task);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes pieces until there are none.
    fn work_on(&self, task: &Task) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= task.count {
                return;
            }
            // SAFETY: the counter gives each number once, and `share` returns only when nobody works on its task any more.
            unsafe { (task.run)(task.work, task.pieces, at) };
        }
    }

    fn help(&self) {
        let mut done = 0;
        let mut state = self.lock();
        let running = state.running;
        if let Some(thread) = state.threads.get_mut(running) {
            // SAFETY: no pointers are passed.
            *thread = unsafe { libc::gettid() };
            state.running += 1;
            // Where it may be is to be said anew.
            state.avoided = -1;
        }
        loop {
            let Some(task) = state.task.filter(|task| task.number != done) else {
                state = self.begun.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            done = task.number;
            state.busy += 1;
            drop(state);
            self.work_on(&task);
            state = self.lock();
            state.busy -= 1;
            if state.busy == 0 {
                self.ended.notify_one();
            }
        }
    }
}

/// Of a task: its helpers are done when this is dropped.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        let mut state = CREW.lock();
        // Who has not begun by now finds nothing to do. Who has is at its last piece.
        state.task = None;
        while state.busy > 0 {
            state = CREW.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Sends the helpers elsewhere, if the caller came to where they may be.
    fn avoid(&mut self) {
        // SAFETY: no pointers are passed.
        let here = unsafe { libc::sched_getcpu() };
        let (true, Ok(place), Some(mut set)) = (here != self.avoided, usize::try_from(here), allowed()) else { return };
        self.avoided = here;
        // SAFETY: it writes to the set alone, and to no place outside it.
        unsafe { libc::CPU_CLR(place, &mut set) };
        for thread in self.threads.iter().take(self.running) {
            // SAFETY: `set` is readable and as long as said. Where that is refused, as for an empty set, they stay where they are.
            unsafe { libc::sched_setaffinity(*thread, size_of_val(&set), &set) };
        }
    }
}

/// Processors that the calling thread may use.
pub fn processors() -> usize {
    // SAFETY: it only reads the set.
    allowed().map_or(1, |set| unsafe { libc::CPU_COUNT(&set) }.max(1) as usize)
}

fn allowed() -> Option<libc::cpu_set_t> {
    // SAFETY: a set of processors is integers, for which zeroes are valid.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: `set` is writable and as long as said.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) }).ok()?;
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread::{ThreadId, current};

    #[test]
    fn each_piece_is_done_once_and_before_the_call_returns() {
        for helpers in 0..4 {
            for count in (0..300).chain([5_000]) {
                let mut pieces = vec![(0, String::new()); count];
                let more = String::from("once");
                share(helpers, &mut pieces, &|piece: &mut (usize, String)| {
                    piece.0 += 1;
                    piece.1 += &more;
                });
                assert!(pieces.iter().all(|(times, text)| (*times, &**text) == (1, "once")), "{helpers} {count}");
            }
        }
    }

    #[test]
    fn helpers_do_a_part() {
        let mut names = vec![None; 64];
        // The caller's thread waits, which leaves the rest to the others.
        let own = current().id();
        share(2, &mut names, &|name: &mut Option<ThreadId>| {
            if current().id() == own {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            *name = Some(current().id());
        });
        assert!(names.iter().any(|name| name.is_some_and(|name| name != own)));
        assert!(names.iter().all(Option::is_some));
    }

    #[test]
    fn a_piece_that_panics_ends_the_call_alone() {
        let mut pieces = [0; 64];
        let (own, begun) = (current().id(), AtomicBool::new(false));
        let broken = std::panic::AssertUnwindSafe(|| {
            share(1, &mut pieces, &|piece: &mut i32| {
                let is_own = current().id() == own;
                begun.fetch_or(is_own, Ordering::SeqCst);
                assert!(!is_own, "a test's panic");
                while !begun.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                *piece += 1;
            });
        });
        assert!(std::panic::catch_unwind(broken).is_err());
        share(1, &mut pieces, &|piece| *piece = 7);
        assert_eq!(pieces, [7; 64]);
    }
}
