//! Panics: inside a task they become an error of that task; anywhere else they end every rank.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic inside becomes its message and place, and prints nothing.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install(None);
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    outcome.map_err(|_| LAST.take().unwrap_or_else(|| "panicked".into()))
}

/// What a panic outside a task does after it was printed: (rank, how to end all ranks).
type End = (usize, fn() -> !);

/// Sets the process's panic hook, once for messages of tasks and once more with `end` under MPI:
/// without it a panic on one rank leaves the others waiting for ever.
pub fn install(end: Option<End>) {
    static PLAIN: Once = Once::new();
    PLAIN.call_once(|| hook(None));
    if end.is_some() {
        hook(end);
    }
}

fn hook(end: Option<End>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
            let what = info.payload_as_str().unwrap_or("a panic without a message");
            LAST.set(Some(format!("panicked: {what}{place}")));
            return;
        }
        if let Some((rank, end)) = end {
            eprintln!("fitjob: rank {rank} panicked; this is a bug in fitjob. Ending all ranks.");
            before(info);
            end();
        }
        before(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_becomes_its_message_and_its_place() {
        let message = guarded(|| -> u8 { panic!("index {} out of range", 7) }).unwrap_err();
        assert!(message.starts_with("panicked: index 7 out of range (src"), "{message}");
        assert_eq!(guarded(|| 5), Ok(5));
    }
}
