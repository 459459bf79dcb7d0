//! Which way points go: even shares in rounds, handed out one by one, or not sent at all.

use super::handout::WORTH;
use std::time::Instant;

/// How points reach the ranks. The answers do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dispatch {
    /// Measures and chooses: rounds of equal shares, points one by one where their cost varies much, the root
    /// alone where they are so cheap that it is quicker.
    #[default]
    Auto,
    /// Rounds over all ranks always: each rank gets an equal share.
    Static,
    /// Points are handed out one by one as ranks come free.
    Dynamic,
}

/// Points dearer than this (seconds) are always worth sending.
const CHEAP: f64 = 1e-3;
/// Where the root alone is quicker, some rounds in so many go out all the same, to see whether that is still
/// so: a few in a row, because workers sleep deeper when nothing comes.
const PROBE_EVERY: u64 = 100;
const PROBE: u64 = 5;
/// Tells when points are so cheap that sending them takes longer than evaluating them on the root.
pub struct Alone {
    /// Running average of the wall seconds of a point that goes out in a round.
    per_sent_point: f64,
    last_round: Instant,
    asked: u64,
}

impl Alone {
    pub fn new() -> Alone {
        Alone { per_sent_point: f64::INFINITY, last_round: Instant::now(), asked: 0 }
    }

    /// Whether the next round had better stay here, where a point takes `here` seconds.
    pub fn is_quicker(&mut self, here: f64) -> bool {
        if here > CHEAP || here > self.per_sent_point {
            return false;
        }
        self.asked += 1;
        self.asked % PROBE_EVERY >= PROBE
    }

    /// A round of `points` that went out at `posted` has just come back.
    pub fn learn(&mut self, posted: Instant, points: usize) {
        let now = Instant::now();
        let seconds = (now - self.last_round.max(posted)).as_secs_f64() / points.max(1) as f64;
        let before = if self.per_sent_point.is_finite() { self.per_sent_point } else { seconds };
        self.per_sent_point = 0.6 * before + 0.4 * seconds;
        self.last_round = now;
    }
}

/// Ranks this busy in even shares leave nothing to gain.
const BUSY_ENOUGH: f64 = 0.85;
/// How much busier ranks must be when points are handed out.
const CLEARLY: f64 = 0.03;
/// Epochs after which the way not taken is tried again.
const AGAIN: u32 = 40;

/// Chooses between even shares and handing out by how busy ranks were under each, epoch by epoch.
pub struct Choice {
    hand_out: bool,
    /// Busy fraction under even shares, and when handing out.
    seen: [Option<f64>; 2],
    epochs: u32,
    start: Instant,
    calls: u64,
    busy: f64,
}

impl Choice {
    pub fn new() -> Choice {
        Choice { hand_out: false, seen: [None; 2], epochs: 0, start: Instant::now(), calls: 0, busy: 0.0 }
    }

    pub fn hands_out(&self) -> bool {
        self.hand_out
    }

    /// Learns from calls and busy seconds so far, over `lanes` evaluators.
    pub fn learn(&mut self, calls: u64, busy: f64, lanes: usize) {
        if calls - self.calls < (16 * lanes as u64).max(512) {
            return;
        }
        let fraction = (busy - self.busy) / (self.start.elapsed().as_secs_f64() * lanes as f64).max(1e-9);
        let dear = (busy - self.busy) / (calls - self.calls) as f64 > WORTH;
        (self.start, self.calls, self.busy) = (Instant::now(), calls, busy);
        self.decide(fraction, dear);
    }

    fn decide(&mut self, fraction: f64, dear: bool) {
        self.epochs += 1;
        if self.epochs == 1 {
            return; // ranks were starting up
        }
        let now = self.hand_out as usize;
        self.seen[now] = Some(self.seen[now].map_or(fraction, |before| (before + fraction) / 2.0));
        if self.epochs.is_multiple_of(AGAIN) {
            self.seen[1 - now] = None;
        }
        self.hand_out = dear
            && match self.seen {
                [Some(shares), Some(handed)] => handed > shares + CLEARLY,
                [Some(shares), None] => shares < BUSY_ENOUGH,
                [None, _] => false,
            };
    }
}

#[cfg(test)]
mod tests {
    use super::Choice;

    fn after(epochs: &[f64]) -> bool {
        let mut choice = Choice::new();
        epochs.iter().for_each(|fraction| choice.decide(*fraction, true));
        choice.hands_out()
    }

    #[test]
    fn even_shares_stay_while_ranks_are_busy() {
        assert!(!after(&[0.3, 0.97, 0.96]));
    }

    #[test]
    fn idle_ranks_lead_to_handing_out_which_stays_only_if_it_is_better() {
        assert!(after(&[0.3, 0.7]));
        assert!(after(&[0.3, 0.7, 0.95, 0.95]));
        assert!(!after(&[0.3, 0.7, 0.6]));
    }

    #[test]
    fn cheap_points_are_not_handed_out() {
        let mut choice = Choice::new();
        [0.3, 0.3, 0.3].iter().for_each(|fraction| choice.decide(*fraction, false));
        assert!(!choice.hands_out());
    }
}
