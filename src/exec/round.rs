//! One round: who gets which points, and what has come back.

use super::bench::Verdict;
use super::handout::Back;
use super::wire;
use crate::task::TaskId;
use crate::world::link::Pending;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

/// Contiguous shares of a round's points in rank order.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// First point of each rank, and the number of points at the end.
    starts: Vec<usize>,
}

impl Shares {
    pub fn root_only(n: usize, ranks: usize) -> Shares {
        Shares { starts: std::iter::once(0).chain(std::iter::repeat_n(n, ranks)).collect() }
    }

    /// Splits at most `n` points by `weights` (all 1 if all are 0), at most `capacity` for each worker; what
    /// is left over by rounding goes to the ranks with the smallest `backlog`.
    pub fn split(n: usize, weights: &[f64], backlog: &[usize], capacity: usize) -> Shares {
        let sum: f64 = weights.iter().sum();
        let weight = |rank: usize| if sum > 0.0 { weights[rank] / sum } else { 1.0 / weights.len() as f64 };
        let limit = |rank: usize| if rank == 0 { usize::MAX } else { capacity };
        let mut sizes: Vec<usize> = (0..weights.len()).map(|r| ((n as f64 * weight(r)) as usize).min(limit(r))).collect();
        let mut order: Vec<usize> = (0..weights.len()).filter(|r| weight(*r) > 0.0).collect();
        order.sort_by_key(|rank| (backlog[*rank] + sizes[*rank], *rank == 0));
        let mut left = n.saturating_sub(sizes.iter().sum());
        for rank in order.iter().cycle().take(order.len()) {
            if left > 0 && sizes[*rank] < limit(*rank) {
                sizes[*rank] += 1;
                left -= 1;
            }
        }
        Shares {
            starts: std::iter::once(0)
                .chain(sizes.iter().scan(0, |sum, n| {
                    *sum += n;
                    Some(*sum)
                }))
                .collect(),
        }
    }

    pub fn of(&self, rank: usize) -> Range<usize> {
        self.starts[rank]..self.starts[rank + 1]
    }

    pub fn total(&self) -> usize {
        *self.starts.last().expect("there is a root")
    }

    fn ranks(&self) -> usize {
        self.starts.len() - 1
    }
}

pub struct Round {
    /// Counted on all ranks alike; rounds that the root does alone do not count.
    pub number: u64,
    first_ticket: u64,
    pub points: Vec<(TaskId, Vec<f64>)>,
    pub shares: Shares,
    pub posted: Instant,
    verdicts: Vec<Option<(Verdict, f32)>>,
    /// Points of the root's own share that are not done.
    own_missing: usize,
    pub scatter: Option<Box<dyn Pending>>,
    pub gather: Option<Box<dyn Pending>>,
    gathered: Option<Vec<f64>>,
}

impl Round {
    pub fn new(number: u64, first_ticket: u64, points: Vec<(TaskId, Vec<f64>)>, shares: Shares) -> Round {
        let (own_missing, n) = (shares.of(0).len(), points.len());
        let verdicts = (0..n).map(|_| None).collect();
        Round {
            number,
            first_ticket,
            points,
            shares,
            verdicts,
            own_missing,
            scatter: None,
            gather: None,
            gathered: None,
            posted: Instant::now(),
        }
    }

    pub fn has(&self, ticket: u64) -> bool {
        (self.first_ticket..self.first_ticket + self.points.len() as u64).contains(&ticket)
    }

    pub fn point_of(&self, ticket: u64) -> &[f64] {
        &self.points[(ticket - self.first_ticket) as usize].1
    }

    /// A point of the root's own share is done. A call that was skipped meanwhile is not looked at.
    pub fn own(&mut self, ticket: u64, verdict: Verdict, seconds: f32) {
        let slot = &mut self.verdicts[(ticket - self.first_ticket) as usize];
        if slot.is_none() {
            *slot = Some((verdict, seconds));
            self.own_missing -= 1;
        }
    }

    /// Gives up what the root itself has not done yet.
    pub fn skip_own(&mut self) {
        for slot in &mut self.verdicts[self.shares.of(0)] {
            slot.get_or_insert((Verdict::Skipped, 0.0));
        }
        self.own_missing = 0;
    }

    pub fn sent(&mut self) -> bool {
        self.scatter.as_mut().is_none_or(|s| s.ready())
    }

    /// Whether every verdict is here; `reasons` holds the words that came with messages.
    pub fn finished(&mut self, reasons: &mut HashMap<(u64, usize), String>) -> bool {
        if self.own_missing > 0 || !self.sent() {
            return false;
        }
        if let Some(gather) = &mut self.gather {
            if !gather.ready() {
                return false;
            }
            self.gathered = Some(gather.take());
            self.gather = None;
        }
        let Some(gathered) = &self.gathered else { return true };
        let first = self.shares.of(0).end;
        let answer_len = gathered.len() / (self.points.len() - first).max(1);
        for (index, numbers) in (first..).zip(gathered.chunks_exact(answer_len.max(1))) {
            if self.verdicts[index].is_none() {
                self.verdicts[index] = wire::read_verdict(numbers, || reasons.remove(&(self.number, index)));
            }
        }
        self.verdicts[first..].iter().all(Option::is_some)
    }

    /// Every point of the finished round, in order.
    pub fn into_verdicts(self) -> impl Iterator<Item = Back> {
        let shares = self.shares;
        let ranks = (0..shares.ranks()).flat_map(move |rank| shares.of(rank).map(move |_| rank));
        ranks.zip(self.points).zip(self.verdicts).map(|((rank, (id, u)), verdict)| {
            let (verdict, seconds) = verdict.expect("the round is finished");
            (rank, id, u, verdict, seconds)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    fn sizes(shares: &Shares) -> Vec<usize> {
        (0..shares.ranks()).map(|rank| shares.of(rank).len()).collect()
    }

    #[test]
    fn points_are_split_evenly_and_the_rest_goes_to_the_least_loaded() {
        let shares = Shares::split(11, &[1.0; 4], &[3, 3, 2, 3], 8);
        assert_eq!(sizes(&shares), [2, 3, 3, 3]);
        assert_eq!(sizes(&Shares::split(1, &[1.0; 4], &[0; 4], 8)), [0, 1, 0, 0]);
    }

    #[test]
    fn a_rank_that_computes_gets_no_points_while_others_are_free() {
        assert_eq!(sizes(&Shares::split(9, &[1.0, 0.0, 1.0, 1.0], &[0; 4], 8)), [3, 0, 3, 3]);
        assert_eq!(sizes(&Shares::split(4, &[0.0; 4], &[0; 4], 8)), [1, 1, 1, 1]);
    }

    #[test]
    fn no_worker_gets_more_than_its_share_can_hold() {
        let shares = Shares::split(100, &[1.0; 2], &[0; 2], 8);
        assert_eq!(shares.of(1).len(), 8);
        assert!(shares.total() <= 100);
    }
}
