//! How a run shows where it stands: a bar on a terminal, timed lines elsewhere, records in log.jsonl.

use super::{Log, Root, text};
use crate::sampler;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Where progress is shown (always on stderr; stdout is for the report).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Style {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    Bar,
    Lines,
    Quiet,
}

/// Seconds between two looks at the sampler for the bar, and from one line (or record) to the next at first and at
/// most: the gap grows by half each time, so that short runs show something and long ones do not fill the log.
const GLANCE: f64 = 0.1;
const FIRST_LINE: f64 = 2.0;
const LAST_GAP: f64 = 60.0;

/// The progress display of one run; keeps the run's log.
pub struct Progress {
    started: Instant,
    bar: Option<ProgressBar>,
    lines: bool,
    log: Option<Log>,
    /// Calls that were made before this life of the run.
    calls_before: u64,
    glance_at: f64,
    line_at: f64,
    gap: f64,
}

impl Progress {
    pub fn new(_root: &Root, style: Style, log: Option<Log>) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let bar = style == Style::Bar || (style == Style::Auto && terminal);
        Progress {
            started: Instant::now(),
            bar: bar.then(new_bar),
            lines: style == Style::Lines || (style == Style::Auto && !terminal),
            log,
            calls_before: 0,
            glance_at: 0.0,
            line_at: FIRST_LINE,
            gap: FIRST_LINE,
        }
    }

    /// The run was taken up again with so many calls made: they are no speed of this life.
    pub fn resumed_at(&mut self, n_like: u64) {
        self.calls_before = n_like;
    }

    /// The log, for records of other kinds.
    pub fn log(&mut self) -> Option<&mut Log> {
        self.log.as_mut()
    }

    /// Whether [`update`](Progress::update) would show anything now: ask this before putting a progress together.
    pub fn due(&self) -> bool {
        let now = self.started.elapsed().as_secs_f64();
        now >= self.line_at || (self.bar.is_some() && now >= self.glance_at)
    }

    pub fn update(&mut self, progress: &sampler::Progress) {
        let now = self.started.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.set_position((1000.0 * progress.fraction.unwrap_or(0.0).clamp(0.0, 1.0)) as u64);
            bar.set_message(line(progress, self.rate(progress, now)));
            self.glance_at = now + GLANCE;
        }
        if now >= self.line_at {
            self.gap = (1.5 * self.gap).min(LAST_GAP);
            self.line_at = now + self.gap;
            self.tell(progress, now);
        }
    }

    /// A warning in the middle of the run: above the bar, and in the log.
    pub fn warn(&mut self, warning: &str) {
        self.teller()(&format!("warning: {warning}"));
        if let Some(log) = &mut self.log {
            log.warning(warning);
        }
    }

    /// Says something above the bar, from any thread.
    pub fn teller(&self) -> impl Fn(&str) + Send + 'static {
        let bar = self.bar.clone();
        move |text| match &bar {
            Some(bar) => bar.suspend(|| to_stderr(text)),
            None => to_stderr(text),
        }
    }

    /// The last line, and the log back for its end record.
    pub fn finish(mut self, progress: &sampler::Progress) -> Option<Log> {
        let now = self.started.elapsed().as_secs_f64();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.tell(progress, now);
        self.log.take()
    }

    /// The last line, and the end of the log, of a run that stopped before its end. `next`: the command that goes on.
    pub fn stopped(self, progress: &sampler::Progress, reason: &str, next: &str) {
        if let Some(mut log) = self.finish(progress) {
            log.stopped(reason, next);
        }
    }

    /// Clears the bar and ends the log of a run without a result.
    pub fn failed(mut self, why: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some(log) = &mut self.log {
            log.failed(why);
        }
    }

    fn tell(&mut self, progress: &sampler::Progress, now: f64) {
        let rate = self.rate(progress, now);
        if self.lines {
            to_stderr(&format!("[{}] {}", text::clock(now), line(progress, rate)));
        }
        if let Some(log) = &mut self.log {
            log.progress(progress, rate);
        }
    }

    /// Likelihood calls a second since the start.
    fn rate(&self, progress: &sampler::Progress, elapsed: f64) -> f64 {
        progress.n_like.saturating_sub(self.calls_before) as f64 / elapsed.max(1e-9)
    }
}

/// The most wanted first, since a narrow terminal cuts the end off.
fn line(p: &sampler::Progress, rate: f64) -> String {
    let mut parts = standing(p);
    parts.push(format!("{}/s", if rate < 1000.0 { text::significant(rate, 3) } else { text::count(rate as u64) }));
    parts.extend(p.details.iter().map(|(name, value)| format!("{name} {}", text::plain(*value))));
    parts.join("  ")
}

/// Where a run stands, but for its speed.
pub(super) fn standing(p: &sampler::Progress) -> Vec<String> {
    let mut parts = vec![p.phase.clone()];
    if p.log_z.is_finite() {
        let error = if p.log_z_err.is_finite() { format!(" ± {}", text::significant(p.log_z_err, 2)) } else { String::new() };
        parts.push(format!("log Z {}{error}", text::to_scale(p.log_z, p.log_z_err)));
    }
    if p.n_eff > 0.0 {
        parts.push(format!("n_eff {:.0}", p.n_eff));
    }
    parts.push(format!("{} calls", text::count(p.n_like)));
    parts
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:12} {wide_msg}");
    let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A closed stderr must not end the run.
fn to_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
