//! What goes over the lines: shares of a round as plain numbers, everything else by postcard.

use super::bench::Verdict;
use crate::task::{EvalError, Shared, Task, TaskId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Points that a share can hold in the first round; each share says how many the next one can hold, since
/// MPI wants the receiver to know the length.
pub const FIRST_CAPACITY: usize = 8;

/// Numbers in front of the points of a share.
const HEADER: usize = 3;
/// Numbers that answer a point: status, value, seconds, and `derived` quantities.
pub fn answer_len(derived: usize) -> usize {
    3 + derived
}

/// What a worker reads at the front of its share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// Points in this share.
    pub points: usize,
    /// Points that the next share can hold.
    pub next_capacity: usize,
    /// The last round, without answers.
    pub stop: bool,
}

/// Length of a share that can hold `capacity` points of dimension `dim`.
pub fn share_len(capacity: usize, dim: usize) -> usize {
    HEADER + capacity * dim
}

impl Header {
    pub fn write(&self, share: &mut Vec<f64>) {
        share.extend([self.points as f64, self.next_capacity as f64, self.stop as u8 as f64]);
    }

    /// The header, and the points of the share.
    pub fn read(share: &[f64], dim: usize) -> (Header, &[f64]) {
        let header = Header { points: share[0] as usize, next_capacity: share[1] as usize, stop: share[2] != 0.0 };
        (header, &share[HEADER..HEADER + header.points * dim])
    }
}

/// A verdict as numbers; the words of a rejection or a failure travel as a [`Reason`].
pub fn write_verdict(verdict: &Verdict, seconds: f32, out: &mut [f64]) {
    let (status, value) = match verdict {
        Verdict::Value(value, derived) => {
            out[3..].copy_from_slice(derived);
            (0.0, *value)
        }
        Verdict::Rejected(_) => (1.0, f64::NAN),
        Verdict::Nan => (2.0, f64::NAN),
        Verdict::PlusInfinity => (3.0, f64::NAN),
        Verdict::Fatal(_) => (4.0, f64::NAN),
        Verdict::Skipped => (5.0, f64::NAN),
        Verdict::TimedOut => (6.0, f64::NAN),
    };
    out[..3].copy_from_slice(&[status, value, seconds as f64]);
}

/// The verdict and its seconds; `reason` finds the words where there are some. `None` until they are there.
pub fn read_verdict(numbers: &[f64], reason: impl FnOnce() -> Option<String>) -> Option<(Verdict, f32)> {
    let verdict = match numbers[0] as u8 {
        0 => Verdict::Value(numbers[1], numbers[3..].to_vec()),
        1 => Verdict::Rejected(reason()?),
        2 => Verdict::Nan,
        3 => Verdict::PlusInfinity,
        4 => Verdict::Fatal(reason()?),
        5 => Verdict::Skipped,
        _ => Verdict::TimedOut,
    };
    Some((verdict, numbers[2] as f32))
}

/// Words for a point, sent as soon as they are known.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reason {
    /// Rounds are counted from 0 on all ranks.
    pub round: u64,
    /// Number of the point in the rank's share.
    pub index: usize,
    pub fatal: bool,
    pub words: String,
}

/// Points handed to one rank: (ticket, point).
pub type Handed = Vec<(u64, Vec<f64>)>;
/// What came of them: (ticket, verdict, seconds).
pub type Returned = Vec<(u64, Verdict, f32)>;

/// A computation for a worker.
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// Objects that no later task needs.
    pub retired: Vec<u64>,
    /// Objects that this rank has not got yet.
    pub shared: Vec<Shared>,
    pub task: Task,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
pub struct Report {
    pub id: TaskId,
    pub outcome: Result<Vec<u8>, EvalError>,
    pub seconds: f32,
}

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data can be encoded")
}

/// Both ends are the same program: bytes that cannot be decoded are a bug.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("ranks run the same build of fitjob")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_gives_back_its_header_and_points() {
        let header = Header { points: 2, next_capacity: 17, stop: false };
        let mut share = Vec::new();
        header.write(&mut share);
        share.extend([0.1, 0.2, 0.3, 0.4]);
        share.resize(share_len(5, 2), 0.0);
        assert_eq!(Header::read(&share, 2), (header, &[0.1, 0.2, 0.3, 0.4][..]));
    }

    #[test]
    fn verdicts_survive_the_journey_bit_for_bit() {
        let all = [
            Verdict::Value(-1.5e-310, vec![0.1, f64::MAX]),
            Verdict::Value(f64::NEG_INFINITY, vec![0.0, -0.0]),
            Verdict::Rejected("outside".into()),
            Verdict::Nan,
            Verdict::PlusInfinity,
            Verdict::Fatal("panicked".into()),
            Verdict::Skipped,
            Verdict::TimedOut,
        ];
        for verdict in all {
            let mut numbers = vec![0.0; answer_len(2)];
            write_verdict(&verdict, 0.25, &mut numbers);
            let words = match &verdict {
                Verdict::Rejected(words) | Verdict::Fatal(words) => Some(words.clone()),
                _ => None,
            };
            assert_eq!(read_verdict(&numbers, || words), Some((verdict, 0.25)));
        }
    }

    #[test]
    fn a_verdict_waits_for_its_words() {
        let mut numbers = vec![0.0; answer_len(0)];
        write_verdict(&Verdict::Rejected("late".into()), 0.0, &mut numbers);
        assert_eq!(read_verdict(&numbers, || None), None);
    }
}
