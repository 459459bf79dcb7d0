//! Exploration: when to learn the next bound, from what, and when to stop.

use serde::{Deserialize, Serialize};

use super::Settings;
use super::estimate::{Count, Evidence, counted};
use super::ledger::Shell;
use super::run::{Batch, Mail, Phase, Run, Step};
use super::stretch::{SPACING, Stretch};
use super::trainer::PROBE_TRIES;
use super::wire::DrawFor;
use crate::bound::region::Lesson;
use crate::bound::union::Enclosing;
use crate::stats::log_sum;

/// Blocks of candidates asked for before they are needed.
const LOOK_AHEAD: u64 = 3;
/// The live points are told from the rest of the evidence this often: a share of the live points.
const CHECKS_PER_LIVE: usize = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explorer {
    /// New points at or above the threshold, and new calls, since the last bound was tried.
    updates: i64,
    calls: usize,
    /// Threshold of the bound that is being learned, or of the last one.
    l_min: f64,
    /// After this many commits the run switches to the bound that is being learned.
    switch_at: Option<u64>,
    /// Bounds that failed one after another.
    failed: usize,
    /// Calls since the stopping rules were last looked at.
    unchecked: usize,
    /// Calls since the bounds last became smaller by a factor of e, and the log volume of the newest then.
    #[serde(default)]
    stuck: usize,
    #[serde(default)]
    log_volume: f64,
    /// All calls since the exploration began.
    #[serde(default)]
    all_calls: usize,
    pub why_stopped: String,
    /// It stopped although the live points still held something to learn.
    #[serde(default)]
    pub gave_up: bool,
}

/// Axes are stretched when the live points touch walls, and the logarithms of how much closer they are than points all over the axis
/// (median distances on that side, 1/4 where nothing is known) add up to this: one axis at .1, or five at .2.
const PILED: f64 = 0.9;
/// A median distance above this tells nothing.
const CLOSE: f64 = 0.2;
/// Share of the points that must be on a side of an axis for it to be looked at; share of those that must lie within a tenth of
/// their median distance from the wall to touch it (a twentieth does where they are even).
const SIDE: f64 = 0.25;
const TOUCH: f64 = 0.02;

/// Within these distances of a wall a thin tail of the posterior and its tip are looked for.
const TAIL: f64 = 0.05;
const TIP: f64 = 0.01;
/// A tail that matters: its share of the posterior. It is thin if it holds clearly less than an even density would, and it reaches the wall
/// if its density there falls no faster than about linearly.
const LEAST_TAIL: f64 = 2e-3;
/// Fewer ends with tails than this are learned well in plain coordinates (rosen2 has one: right, and stretched it would cost 40% more calls).
const FEW_TAILS: usize = 3;
/// Such an end is stretched down to this distance.
const GENTLY: f64 = 1e-3;

/// Exploration gives up after this many calls a live point without bounds smaller by a factor of e, and after so many in all.
const STUCK: usize = 50;
const LONGEST: usize = 700;

/// The live points and what they stand for.
struct Live {
    l_min: f64,
    log_volume: f64,
    /// Share of the evidence.
    share: f64,
    /// Their effective number as a share of their number: 1 when log L is flat among them.
    flatness: f64,
}

impl Explorer {
    pub fn new(settings: &Settings) -> Explorer {
        Explorer {
            updates: -(settings.live() as i64),
            calls: 0,
            l_min: f64::NEG_INFINITY,
            switch_at: None,
            failed: 0,
            unchecked: 0,
            stuck: 0,
            log_volume: 0.0,
            all_calls: 0,
            why_stopped: String::new(),
            gave_up: false,
        }
    }
}

impl Run {
    /// Draws from the newest bound until a batch of points without a known likelihood is together.
    pub fn fill_exploring(&mut self, mail: &mut Mail) -> Step {
        let newest = self.ledger.newest();
        let mut batch = self.filling.take().unwrap_or_default();
        while batch.len() < self.settings.n_batch {
            let shell = &mut self.ledger.shells[newest];
            let Some((u, back)) = shell.queue.points.pop_front() else {
                if !self.next_block(newest, mail) {
                    self.filling = Some(batch);
                    return Step::Waits;
                }
                continue;
            };
            let partner = match newest.checked_sub(1 + back as usize) {
                Some(before) => self.ledger.transfer[before].pop(),
                None => None,
            };
            match partner {
                Some(id) => batch.paired.push(id),
                None => {
                    batch.u.extend(u);
                    batch.from.push(newest as u32);
                }
            }
        }
        self.filling = Some(batch);
        Step::Done
    }

    /// Consumes the next block of the newest bound and asks for another, if it was told.
    fn next_block(&mut self, newest: usize, mail: &mut Mail) -> bool {
        let wanted = self.ledger.shells[newest].queue.consumed + LOOK_AHEAD;
        while self.ledger.shells[newest].queue.issued < wanted {
            let tries = self.block_tries(newest);
            self.ask_for_block(newest, tries, DrawFor::Exploring, mail);
        }
        self.ledger.shells[newest].consume(false)
    }

    /// Tries of a block that is to bring a few hundred points.
    fn block_tries(&self, number: usize) -> u32 {
        let shell = &self.ledger.shells[number];
        let yielded = (shell.inside + 1) as f64 / (shell.tries + 1) as f64;
        (512.0 / yielded).clamp(f64::from(PROBE_TRIES), 262_144.0) as u32
    }

    /// After a commit: count, stop, or start to learn the next bound.
    pub fn explore_on(&mut self, batch: &Batch, mail: &mut Mail) {
        let l_min = self.explorer.l_min;
        self.explorer.updates += batch.log_like.iter().filter(|l| **l >= l_min).count() as i64;
        self.explorer.calls += batch.len();
        self.explorer.unchecked += batch.len();
        self.explorer.stuck += batch.len();
        self.explorer.all_calls += batch.len();
        let out_of_calls = self.settings.n_like_max.is_some_and(|most| self.n_like + self.settings.n_batch as u64 > most);
        if out_of_calls && self.batches.is_empty() {
            return self.stop("n_like_max is reached before the sampling phase");
        }
        if self.ledger.points.len() <= self.settings.live() {
            return;
        }
        if self.explorer.stuck > STUCK * self.settings.live() || self.explorer.all_calls > LONGEST * self.settings.live() {
            self.explorer.gave_up = true;
            return self.stop("the bounds hardly became smaller any more");
        }
        if self.explorer.unchecked * CHECKS_PER_LIVE >= self.settings.live() && self.explorer.switch_at.is_none() {
            self.explorer.unchecked = 0;
            if let Some(why) = self.reason_to_stop() {
                let stretch = self.stretched_for_tails();
                return if stretch == self.stretch { self.stop(why) } else { self.explore_anew(stretch, mail) };
            }
        }
        let due = self.explorer.updates >= self.settings.update() as i64 || self.explorer.calls >= self.settings.like_new_bound();
        // With few live points a batch alone makes a bound due: without a filled shell in between, nothing could ever end the exploration.
        if due && self.trainer.is_idle() && self.newest_is_filled() {
            (self.explorer.updates, self.explorer.calls) = (0, 0);
            self.launch(mail);
        }
    }

    fn stop(&mut self, why: &str) {
        self.explorer.why_stopped = why.into();
        self.explorer.switch_at = None;
        self.filling = None;
        self.phase = Phase::Sampling;
        self.ledger.shells.iter_mut().for_each(Shell::forget_blocks);
    }

    /// The newest shell has just taken the live points out of the others: it must be filled before it can tell.
    fn newest_is_filled(&self) -> bool {
        let newest = self.ledger.newest();
        newest == 0 || 4 * self.ledger.shells[newest].members.len() >= self.settings.live()
    }

    fn reason_to_stop(&self) -> Option<&'static str> {
        if self.ledger.newest() == 0 || !self.newest_is_filled() {
            return None;
        }
        let live = self.live();
        // Sampling costs n_eff (sum_i Z_i / sqrt(eta_i) / Z)^2 calls; a further bound can at best make the live part flat.
        let spread = live.share * (live.flatness.sqrt().recip() - 1.0);
        let saving = 2.0 * self.settings.n_eff * spread;
        let price = (self.settings.update() + self.settings.window / 2) as f64;
        // Where the likelihood is uneven among the live points, more is hidden behind them than their share tells
        // (funnel10: log Z was low by one error).
        if live.share <= self.settings.f_live * live.flatness {
            return Some("the live points hold little of the evidence (f_live)");
        }
        let flat = self.settings.stop_when_flat && live.flatness > 0.5 && saving < price;
        flat.then_some("a further bound would cost more calls than it saves")
    }

    /// The live points by all that was evaluated, weighed by the shells.
    fn live(&self) -> Live {
        let l_min = self.threshold();
        let evidence = Evidence::of(&self.ledger, Count::Explored);
        let (mut volume, mut z, mut squares) = (Vec::new(), 0.0, 0.0);
        for (shell, summary) in self.ledger.shells.iter().zip(&evidence.shells) {
            let log_each = summary.log_volume - libm::log(summary.n as f64);
            let live = counted(shell, Count::Explored).map(|id| self.ledger.points.log_like[id as usize]).filter(|l| *l >= l_min);
            for log_like in live {
                volume.push(log_each);
                let weight = libm::exp(log_each + log_like - evidence.log_z);
                z += weight;
                squares += weight * weight;
            }
        }
        // Volumes of the live points differ little, so their weights tell how flat the likelihood is.
        let flatness = z * z / (squares * volume.len() as f64);
        Live { l_min, log_volume: log_sum(&volume), share: z, flatness }
    }

    /// The n_live-th best log L; above a plateau, if that is where it falls (spec 4.1).
    fn threshold(&self) -> f64 {
        let mut sorted = self.ledger.points.log_like.clone();
        let nth = sorted.len() - self.settings.live().min(sorted.len());
        let (_, l_min, above) = sorted.select_nth_unstable_by(nth, f64::total_cmp);
        let l_min = *l_min;
        let higher: Vec<f64> = above.iter().copied().filter(|l| *l > l_min).collect();
        let on_plateau = self.ledger.points.log_like.iter().filter(|l| **l == l_min).count() > 1;
        if on_plateau && higher.len() >= self.settings.points_min(self.n_dim) {
            return higher.into_iter().fold(f64::INFINITY, f64::min);
        }
        l_min
    }

    fn launch(&mut self, mail: &mut Mail) {
        let live = self.live();
        let all_above = self.ledger.points.log_like.iter().all(|l| *l >= live.l_min);
        if all_above || live.l_min == f64::NEG_INFINITY {
            return self.fail(live.l_min);
        }
        let stretch = self.stretched(live.l_min);
        if stretch != self.stretch {
            return self.explore_anew(stretch, mail);
        }
        self.explorer.l_min = live.l_min;
        self.explorer.switch_at = Some(self.committed + self.settings.pipeline as u64);
        let older = self.ledger.shells.iter().rev().map(|s| s.key).collect();
        let lesson = self.lesson(&live);
        self.trainer.launch(lesson, older, &mut mail.out);
    }

    /// The coordinates with the ends stretched at which live points (at or above `l_min`) pile up; the same where none does.
    fn stretched(&self, l_min: f64) -> Stretch {
        let points = &self.ledger.points;
        let live: Vec<&[f64]> = (0..points.len()).filter(|id| points.log_like[*id] >= l_min).map(|id| points.at(id as u32)).collect();
        let ends = |j: usize| {
            let is_free = |side: usize| !self.periodic.contains(&j) && self.stretch.at(j, side) != SPACING[side];
            [0, 1].map(|side| if is_free(side) { scale_at_wall(&live, j, side) } else { None })
        };
        let scales: Vec<[Option<f64>; 2]> = (0..self.n_dim).map(ends).collect();
        let piles: f64 = scales.iter().flatten().flatten().map(|scale| libm::log(0.25 / scale)).sum();
        if piles < PILED {
            return self.stretch.clone();
        }
        let down_to = |s: &[Option<f64>; 2]| [0, 1].map(|side| s[side].map_or(0.0, |_| SPACING[side]));
        self.stretch.with(&scales.iter().map(down_to).collect::<Vec<_>>())
    }

    /// The coordinates with the ends stretched a little that a thin tail of the posterior reaches: there log L goes by the logarithm of the
    /// distance from the wall, and bounds learned in the plain coordinate cut the tail off. By all points evaluated.
    fn stretched_for_tails(&self) -> Stretch {
        let evidence = Evidence::of(&self.ledger, Count::Explored);
        let mut mass = vec![[[0.0; 2]; 2]; self.n_dim];
        for (shell, summary) in self.ledger.shells.iter().zip(&evidence.shells) {
            let log_each = summary.log_volume - libm::log(summary.n as f64) - evidence.log_z;
            for id in counted(shell, Count::Explored) {
                let weight = libm::exp(log_each + self.ledger.points.log_like[id as usize]);
                for (u, mass) in self.cube_point(id).iter().zip(&mut mass) {
                    for (side, t) in [*u, 1.0 - u].into_iter().enumerate() {
                        mass[side][0] += if t < TAIL { weight } else { 0.0 };
                        mass[side][1] += if t < TIP { weight } else { 0.0 };
                    }
                }
            }
        }
        let is_thin = |[tail, _]: [f64; 2], least: f64| tail > least && tail < 0.7 * TAIL;
        let reaches = |[tail, tip]: [f64; 2]| tip > 0.5 * tail * (TIP / TAIL).powi(2);
        let tails = mass.iter().flatten().filter(|m| is_thin(**m, 0.2 * LEAST_TAIL)).count();
        if tails < FEW_TAILS || !mass.iter().flatten().any(|m| is_thin(*m, LEAST_TAIL) && reaches(*m)) {
            return self.stretch.clone();
        }
        // Where some tails reach walls, what the exploration found of others may be too little.
        let end = |j: usize, side: usize| {
            let plain = !self.periodic.contains(&j) && self.stretch.at(j, side) == 0.0;
            if plain && is_thin(mass[j][side], 0.2 * LEAST_TAIL) { GENTLY } else { 0.0 }
        };
        let ends: Vec<[f64; 2]> = (0..self.n_dim).map(|j| [end(j, 0), end(j, 1)]).collect();
        if ends.iter().flatten().all(|e| *e == 0.0) { self.stretch.clone() } else { self.stretch.with(&ends) }
    }

    /// The live points; of those below, the best and the latest ones, which lie where the next bound's edge will be.
    fn lesson(&self, live: &Live) -> Lesson {
        let points = &self.ledger.points;
        let n = self.settings.live();
        let latest = points.len().saturating_sub(4 * n);
        let mut below: Vec<usize> = (0..points.len()).filter(|id| points.log_like[*id] < live.l_min).collect();
        below.sort_by(|a, b| points.log_like[*b].total_cmp(&points.log_like[*a]).then(a.cmp(b)));
        let mut ids: Vec<usize> = (0..points.len()).filter(|id| points.log_like[*id] >= live.l_min).collect();
        ids.extend(below.iter().enumerate().filter(|(rank, id)| *rank < 2 * n || **id >= latest).map(|(_, id)| *id));
        ids.sort_unstable();
        let how = Enclosing {
            enlarge: self.settings.enlarge_per_dim,
            least: self.settings.points_min(self.n_dim),
            split_threshold: self.settings.split_threshold,
        };
        Lesson {
            n_dim: self.n_dim,
            periodic: self.periodic.clone(),
            u: ids.iter().flat_map(|id| points.at(*id as u32).iter().copied()).collect(),
            log_like: ids.iter().map(|id| points.log_like[*id]).collect(),
            l_min: live.l_min,
            log_target: live.log_volume,
            how,
            learn: self.settings.n_networks > 0,
        }
    }

    pub fn switch_is_due(&self) -> bool {
        self.explorer.switch_at.is_some_and(|at| self.committed >= at)
    }

    /// The learned bound comes into force if it is smaller than the last one.
    pub fn switch(&mut self, mail: &mut Mail) {
        self.explorer.switch_at = None;
        let l_min = self.explorer.l_min;
        let Some(probe) = self.trainer.take() else { return self.fail(l_min) };
        let mut shell = Shell::new(probe.build, probe.key, probe.region, l_min);
        for block in probe.blocks {
            shell.queue.told.insert(shell.queue.issued, block);
            shell.queue.issued += 1;
        }
        while shell.consume(false) {}
        if shell.inside == 0 || shell.log_volume() >= self.ledger.shells[self.ledger.newest()].log_volume() {
            mail.out.retire.push(shell.key);
            return self.fail(l_min);
        }
        self.explorer.failed = 0;
        if shell.log_volume() < self.explorer.log_volume - 1.0 {
            (self.explorer.stuck, self.explorer.log_volume) = (0, shell.log_volume());
        }
        self.ledger.open_shell(self.seed, shell);
    }

    /// The threshold rises all the same; after too many failures in a row exploration is over.
    fn fail(&mut self, l_min: f64) {
        let newest = self.ledger.newest();
        self.ledger.shells[newest].l_min = l_min;
        self.explorer.l_min = l_min;
        self.explorer.failed += 1;
        if self.explorer.failed >= self.settings.max_failed_bounds {
            // NaN where nothing is possible at all.
            self.explorer.gave_up = self.live().flatness <= 0.5;
            self.stop("no smaller bound could be learned several times in a row");
        }
    }
}

/// The median distance of the `points` on one side of axis `j` from the wall there; none where they are far or do not touch it.
fn scale_at_wall(points: &[&[f64]], j: usize, side: usize) -> Option<f64> {
    let distance = |p: &&[f64]| if side == 0 { p[j] } else { 1.0 - p[j] };
    let mut near: Vec<f64> = points.iter().map(distance).filter(|t| *t < 0.5).collect();
    if (near.len() as f64) < SIDE * points.len() as f64 {
        return None;
    }
    near.sort_by(f64::total_cmp);
    let scale = near[near.len() / 2];
    let touching = near.partition_point(|t| *t < 0.1 * scale);
    (scale < CLOSE && touching as f64 > TOUCH * near.len() as f64).then_some(scale)
}
