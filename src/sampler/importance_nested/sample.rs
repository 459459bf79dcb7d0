//! Sampling: how many fresh points every shell gets, in a few planned rounds.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::estimate::{Count, Evidence, Summary};
use super::run::{Mail, Run, Step};
use super::wire::DrawFor;

/// Least number of fresh points of a shell: fewer cannot show what the shell hides.
const FLOOR: u64 = 32;
/// Or so many times n_eff over all shells together, evenly.
const FAIR_SHARE: f64 = 0.1;
/// Effective fresh points of a shell from which on they alone say how many more it needs.
const SETTLED: f64 = 30.0;
/// The first round aims at this share of n_eff; what it finds corrects the plan of the second.
const FIRST_ROUND: f64 = 0.5;
const OVERSHOOT: f64 = 1.01;
/// Points drawn for the volume of a shell, per point evaluated: drawing is cheap.
const SURPLUS: f64 = 2.0;
const BLOCK_TRIES: u32 = 2048;
/// Tries after which a shell without a point is taken as empty, and after which any shell must do with what it has.
const EMPTY: u64 = 200_000;
const HOPELESS: u64 = 20_000_000;
/// A shell in which the exploration saw more than this share of the evidence is tried this many times longer before it is taken as empty.
const NOTABLE: f64 = 1e-4;
const PATIENCE: u64 = 10;
/// Fresh points at most, per effective one asked for (and as if that were at least so many): bounds that give less do not fit the problem.
const DEAREST: f64 = 50.0;
const LEAST_TARGET: f64 = 2000.0;
/// A round gives at most this many times the points that there are: what a few heavy points say of the need is looked at again.
const GROWTH: f64 = 2.0;
/// From this many points per effective one asked for, a run that would end above the limit is given up.
const JUDGED: f64 = 5.0;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Shell and number of points still to be filled.
    queue: VecDeque<(u32, u64)>,
    /// Points that every shell was given so far, filled or queued.
    given: Vec<u64>,
    pub rounds: u32,
    /// The first round was filled completely.
    pub measured: bool,
    /// Of each shell, whether nothing more can be drawn from it.
    #[serde(default)]
    pub closed: Vec<bool>,
    /// The effective sample size hardly grew: no more points were given.
    #[serde(default)]
    pub stalled: bool,
}

/// What the plan knows of a shell.
struct Known {
    z: f64,
    /// Effective number of points per point.
    efficiency: f64,
    have: f64,
    floor: f64,
    /// It has what it has.
    closed: bool,
}

/// What some points of a shell say of it.
struct Said {
    z: f64,
    efficiency: f64,
    n_eff: f64,
}

impl Said {
    fn of(summary: &Summary, reference: f64) -> Said {
        if summary.n == 0 {
            return Said { z: 0.0, efficiency: 1.0, n_eff: 0.0 };
        }
        let z = libm::exp(summary.log_volume + summary.log_mean - reference);
        Said { z, efficiency: summary.n_eff / summary.n as f64, n_eff: summary.n_eff }
    }
}

impl Run {
    /// Fills a batch by the plan; a short one at its end.
    pub fn fill_sampling(&mut self, mail: &mut Mail) -> Step {
        let mut batch = self.filling.take().unwrap_or_default();
        batch.sampling = true;
        while batch.len() < self.settings.n_batch {
            let Some((shell, left)) = self.plan.queue.front().copied() else { if self.plan_round(mail) { continue } else { break } };
            let queue = &mut self.ledger.shells[shell as usize].queue;
            if let Some((u, _)) = queue.points.pop_front() {
                batch.u.extend(u);
                batch.from.push(shell);
                self.plan.queue[0].1 -= 1;
                if left == 1 {
                    self.plan.queue.pop_front();
                }
            } else if queue.issued == queue.consumed {
                if !self.draw_more(shell as usize, left, mail) {
                    self.plan.given[shell as usize] -= left;
                    self.plan.closed[shell as usize] = true;
                    self.plan.queue.pop_front();
                }
            } else if !self.ledger.shells[shell as usize].consume(true) {
                self.filling = Some(batch);
                return Step::Waits;
            }
        }
        if batch.len() == 0 {
            return Step::Nothing;
        }
        self.filling = Some(batch);
        Step::Done
    }

    /// All blocks asked for are counted before the end: what they hold may not depend on when filling was done.
    pub fn drained(&mut self) -> bool {
        self.ledger.shells.iter_mut().all(|shell| {
            while shell.queue.issued > shell.queue.consumed && shell.consume(true) {}
            shell.queue.issued == shell.queue.consumed
        })
    }

    /// Gives points to shells until the target is met by what is known; false when there is nothing to give.
    fn plan_round(&mut self, mail: &mut Mail) -> bool {
        self.plan.given.resize(self.ledger.shells.len(), 0);
        self.plan.closed.resize(self.ledger.shells.len(), false);
        self.plan.measured |= self.plan.rounds > 0;
        let mut known: Vec<Known> = (0..self.ledger.shells.len()).map(|k| self.know(k, true)).collect();
        let target = self.settings.n_eff * if self.plan.rounds == 0 { FIRST_ROUND } else { 1.0 };
        if self.plan.rounds > 0 && met(&known, target) {
            // What is reported in the end is by the fresh points alone.
            known = (0..known.len()).map(|k| self.know(k, false)).collect();
            if met(&known, target) {
                return false;
            }
        }
        let have: f64 = known.iter().map(|k| k.have).sum();
        if self.is_hopeless(&known, have) {
            self.plan.stalled = true;
            return false;
        }
        // A little more than is asked for, so that rounds do not dribble towards the target.
        let wanted = allocate(&known, target * OVERSHOOT);
        let mut extra: Vec<f64> = wanted.iter().zip(&known).map(|(w, k)| (w - k.have).max(0.0)).collect();
        let most = (GROWTH * have.max(self.settings.n_eff).max(LEAST_TARGET)).min(self.most_fresh() - have).max(0.0);
        let shrink = (most / extra.iter().sum::<f64>()).min(1.0);
        extra.iter_mut().for_each(|e| *e *= shrink);
        let extra: Vec<u64> = extra.iter().map(|e| e.ceil() as u64).collect();
        let total: u64 = extra.iter().sum();
        let least = if self.batches.is_empty() { 1.0 } else { (0.01 * have).max(self.settings.n_batch as f64) };
        if (total as f64) < least {
            return false;
        }
        self.plan.rounds += 1;
        for (number, extra) in extra.iter().enumerate().rev().filter(|(_, extra)| **extra > 0) {
            self.plan.given[number] += extra;
            self.plan.queue.push_back((number as u32, *extra));
            self.draw_more(number, *extra, mail);
        }
        true
    }

    /// Fresh points that every shell gets at least.
    fn least_points(&self) -> f64 {
        let share = FAIR_SHARE * self.settings.n_eff / self.ledger.shells.len() as f64;
        share.max(FLOOR.max(self.settings.n_shell as u64) as f64)
    }

    /// Fresh points at most.
    fn most_fresh(&self) -> f64 {
        let by_default = DEAREST * self.settings.n_eff.max(LEAST_TARGET);
        self.settings.n_like_max.map_or(by_default, |most| most as f64)
    }

    /// After a fair trial of `have` points: whether the target is out of reach at what effective points have cost so far.
    fn is_hopeless(&self, known: &[Known], have: f64) -> bool {
        let n_eff = 1.0 / inverse_n_eff(known, known.iter().map(|k| k.have), false);
        let needs = have * self.settings.n_eff / n_eff;
        let judged = self.plan.rounds >= 3 && have >= JUDGED * self.settings.n_eff.max(LEAST_TARGET);
        have >= self.most_fresh() || (judged && needs > self.most_fresh())
    }

    /// With what the exploration says, where fresh points are few and it says more, or by these alone.
    fn know(&self, number: usize, explored: bool) -> Known {
        let shell = &self.ledger.shells[number];
        let reference = self.ledger.points.log_like.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // What the fresh points say, and until they are enough to show what is rare, what all points say if that is more.
        let fresh = Said::of(&Summary::of(&self.ledger, shell, self.count()), reference);
        let said = if !explored || fresh.n_eff >= SETTLED {
            fresh
        } else {
            let by_volume = if shell.fresh_hits >= 100 { self.count() } else { Count::Explored };
            let log_volume = Summary::of(&self.ledger, shell, by_volume).log_volume;
            let all = Said::of(&Summary { log_volume, ..Summary::of(&self.ledger, shell, Count::All) }, reference);
            if all.z > fresh.z { all } else { fresh }
        };
        let counted = if self.settings.discard_exploration { 0 } else { shell.members.len() };
        Known {
            z: said.z,
            efficiency: said.efficiency,
            have: (counted as u64 + self.plan.given[number]) as f64,
            closed: self.plan.closed[number],
            floor: if self.plan.rounds == 0 { self.least_points() } else { 0.0 },
        }
    }

    /// Asks for blocks that should bring `count` points and a surplus; false when the shell is empty or hopeless.
    fn draw_more(&mut self, number: usize, count: u64, mail: &mut Mail) -> bool {
        let shell = &self.ledger.shells[number];
        if shell.fresh_tries >= HOPELESS || (shell.fresh_hits == 0 && shell.fresh_tries >= self.empty_after(number)) {
            return false;
        }
        let share = if shell.fresh_hits >= 20 {
            shell.fresh_hits as f64 / shell.fresh_tries as f64
        } else {
            let bound = (shell.inside + 1) as f64 / (shell.tries + 1) as f64;
            bound * (shell.members.len() as f64 + 0.5) / (shell.draws as f64 + 1.0)
        };
        let mut tries = SURPLUS * count as f64 / share;
        if tries > EMPTY as f64 {
            tries = (tries / SURPLUS * 1.1).max(EMPTY as f64);
        }
        if shell.fresh_hits == 0 {
            tries = tries.min(EMPTY as f64);
        }
        let blocks = (tries / f64::from(BLOCK_TRIES)).ceil().min(2000.0) as u64;
        (0..blocks).for_each(|_| self.ask_for_block(number, BLOCK_TRIES, DrawFor::Sampling, mail));
        true
    }

    /// Tries without a point after which a shell is taken as empty.
    fn empty_after(&self, number: usize) -> u64 {
        let seen = Evidence::of(&self.ledger, Count::Explored).shares()[number];
        if seen > NOTABLE { PATIENCE * EMPTY } else { EMPTY }
    }
}

/// Inverse of the effective sample size of `n` points in each shell, less the part of closed shells if only `open` ones count.
fn inverse_n_eff(known: &[Known], n: impl Iterator<Item = f64>, open: bool) -> f64 {
    let z: f64 = known.iter().map(|k| k.z).sum();
    // A closed shell without points is in no estimate.
    let counts = |k: &Known, n: f64| k.z > 0.0 && !(k.closed && (open || n == 0.0));
    let part = |(k, n): (&Known, f64)| if counts(k, n) { (k.z / z).powi(2) / (k.efficiency * n) } else { 0.0 };
    known.iter().zip(n).map(part).sum()
}

fn met(known: &[Known], target: f64) -> bool {
    inverse_n_eff(known, known.iter().map(|k| k.have), false) * target <= 1.0
}

/// Least numbers of points, not below what shells have, for an effective sample size of `target` (of the shells not closed):
/// n_i = max(have_i, floor_i, c Z_i / sqrt(efficiency_i)) (Neyman 1934).
fn allocate(known: &[Known], target: f64) -> Vec<f64> {
    let z: f64 = known.iter().map(|k| k.z).sum();
    let at = |c: f64| {
        let share = move |k: &Known| if k.z > 0.0 { c * k.z / z / k.efficiency.sqrt() } else { 0.0 };
        known.iter().map(move |k| if k.closed { k.have } else { k.have.max(k.floor).max(share(k)) })
    };
    // What closed shells lack cannot be made up for by the others.
    let reached = |c: f64| inverse_n_eff(known, at(c), true) * target <= 1.0;
    let (mut low, mut high) = (0.0, target.max(1.0));
    while !reached(high) && high < 1e15 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if reached(middle) { high = middle } else { low = middle }
    }
    at(high).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_closed_shell_lacks_is_asked_of_no_other() {
        let shell = |closed, have| Known { z: 0.5, efficiency: 1.0, have, floor: 0.0, closed };
        for have in [0.0, 20.0] {
            let known = [shell(true, have), shell(false, 0.0)];
            let given = allocate(&known, 1000.0);
            assert!(given[0] == have && (given[1] - 250.0).abs() < 1e-6, "{given:?}");
        }
    }

    #[test]
    fn points_go_where_evidence_is_and_likelihood_is_uneven() {
        let shell = |z, efficiency| Known { z, efficiency, have: 0.0, floor: 10.0, closed: false };
        let given = allocate(&[shell(0.0, 1.0), shell(0.5, 1.0), shell(0.5, 0.25)], 1000.0);
        assert_eq!(given[0], 10.0);
        assert!((given[2] / given[1] - 2.0).abs() < 1e-6);
        // n_eff = (sum Z)^2 / sum(Z^2 / (efficiency n)) is met exactly.
        let inverse = 0.25 / given[1] + 0.25 / (0.25 * given[2]);
        assert!((inverse * 1000.0 - 1.0).abs() < 1e-6);
    }
}
