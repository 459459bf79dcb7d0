//! What survives a kill: checkpoints of the whole state, and the journal of finished likelihood calls.
//!
//! One folder, one counter: `000007.state` is checkpoint 7, `000007.journal` holds the calls finished after it was taken.
//! Lost by a kill: nothing that was recorded. Lost by a power cut: what was not yet synced, about a second of calls.
//! `docs/file-format.md` has both formats to the byte.

pub mod container;
pub mod journal;
mod keeper;
mod recover;
mod storage;
mod trouble;
mod vault;

pub use recover::{FoundState, Recovered, peek};
pub use storage::{Disk, Handle, Storage};
pub use trouble::StateError;
pub use vault::Vault;

/// A file of the folder, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    State(u64),
    Journal(u64),
    /// A state that was being written.
    Temporary,
}

impl Name {
    /// None: not one of ours, so neither read nor removed.
    fn parse(name: &str) -> Option<Name> {
        let (number, kind) = name.split_once('.')?;
        let digits = number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits)?;
        match kind {
            "state" => Some(Name::State(number)),
            "journal" => Some(Name::Journal(number)),
            _ if kind.starts_with("state.") && kind.ends_with(".tmp") => Some(Name::Temporary),
            _ => None,
        }
    }
}

fn state_name(number: u64) -> String {
    format!("{number:06}.state")
}

fn journal_name(number: u64) -> String {
    format!("{number:06}.journal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_numbers_and_other_files_are_left_alone() {
        assert_eq!(Name::parse("000007.state"), Some(Name::State(7)));
        assert_eq!(Name::parse("1000000.journal"), Some(Name::Journal(1_000_000)));
        assert_eq!(Name::parse(&state_name(1_234_567)), Some(Name::State(1_234_567)));
        assert_eq!(Name::parse("000007.state.4711.tmp"), Some(Name::Temporary));
        for other in
            ["7.state", "000007.state~", "notes.txt", "+00007.state", "000007", ".tmp", "99999999999999999999999.state", "000007.tmp"]
        {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
