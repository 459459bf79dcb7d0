//! Who holds a run directory, and whether that process is still alive.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Seconds without a sign of life after which a holder that cannot be looked up counts as dead.
pub const SILENCE: f64 = 120.0;
/// The same for a host of our name that was booted since, which may also be another host of that name: two signs of life missed.
const SILENCE_AFTER_BOOT: f64 = 45.0;

/// A process, told apart from all others on all machines: the text of `DIR/lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    host: String,
    /// Id of the running kernel: another after each boot, another on each machine, the same in all containers of one.
    boot: String,
    /// What `pid` counts in.
    pid_namespace: String,
    pid: i32,
    /// Clock ticks from the boot to the start of the process, since process ids are used again.
    started: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slurm: Option<SlurmJob>,
    version: String,
    /// RFC 3339, UTC, by the clock of `host`: for people.
    since: String,
    /// Different each time a lock is taken.
    token: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SlurmJob {
    cluster: String,
    job: String,
    restarts: u64,
}

impl Holder {
    /// This process, about to take a lock.
    pub fn here() -> Holder {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_string();
        let pid = std::process::id() as i32;
        Holder {
            host: read("/proc/sys/kernel/hostname"),
            boot: read("/proc/sys/kernel/random/boot_id"),
            pid_namespace: fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default(),
            pid,
            started: started(pid).unwrap_or(0),
            slurm: slurm_job(),
            version: env!("CARGO_PKG_VERSION").into(),
            since: super::text::now(),
            token: format!("{:016x}", RandomState::new().build_hasher().finish()),
        }
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// One line of JSON.
    pub fn text(&self) -> String {
        format!("{}\n", serde_json::to_string(self).expect("a holder is plain data"))
    }

    /// None for a text that is no holder, or not yet a whole one.
    pub fn parse(text: &[u8]) -> Option<Holder> {
        serde_json::from_slice(text).ok()
    }

    /// Why this holder is certainly dead, as `me` sees it; None if it may be alive. `silence`: seconds since its last sign of life.
    pub fn dead(&self, me: &Holder, silence: f64) -> Option<String> {
        if let (Some(its), Some(mine)) = (&self.slurm, &me.slurm)
            && (&its.cluster, &its.job) == (&mine.cluster, &mine.job)
            && its.restarts < mine.restarts
        {
            return Some("Slurm has ended it and started the job again".into());
        }
        // Only in the same kernel and process namespace does a missing process id mean anything. There it means all.
        if self.same_processes(me) {
            return self.gone().then(|| "that process is gone".into());
        }
        let rebooted = self.host == me.host && self.boot != me.boot;
        let patience = if rebooted { SILENCE_AFTER_BOOT } else { SILENCE };
        (silence > patience).then(|| format!("no sign of life for {silence:.0} s"))
    }

    fn same_processes(&self, me: &Holder) -> bool {
        let known = !me.boot.is_empty() && !me.pid_namespace.is_empty();
        known && self.boot == me.boot && self.pid_namespace == me.pid_namespace
    }

    /// Whether no process has its id, or one that was started at another time.
    fn gone(&self) -> bool {
        // SAFETY: signal 0 sends nothing. Unlike /proc, which may hide other users' processes, it tells which ids are in use.
        let unused = unsafe { libc::kill(self.pid, 0) } != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        unused || dead(self.pid) || (self.started != 0 && started(self.pid).is_some_and(|started| started != self.started))
    }
}

/// "job 1234 on host n07, pid 99, since 2026-11-21T03:06:00.000Z".
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(slurm) = &self.slurm {
            write!(f, "job {} on ", slurm.job)?;
        }
        write!(f, "host {}, pid {}, since {}", self.host, self.pid, self.since)
    }
}

/// What people can do to end it.
pub fn how_to_end(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { slurm: Some(slurm), .. }) => format!("scancel {}", slurm.job),
        Some(Holder { host, pid, .. }) => format!("kill {pid} on {host}"),
        None => "find it".into(),
    }
}

/// Fields of /proc/PID/stat from the third on; None where it cannot be read.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    Some(stat[stat.rfind(')')? + 1..].split_whitespace().map(String::from).collect())
}

fn started(pid: i32) -> Option<u64> {
    stat(pid)?.get(22 - 3)?.parse().ok()
}

/// Ended, and not yet waited for by its parent.
fn dead(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| ["Z", "X"].iter().any(|state| fields[0] == *state))
}

fn slurm_job() -> Option<SlurmJob> {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let job = told("SLURM_JOB_ID");
    let restarts = told("SLURM_RESTART_COUNT").parse().unwrap_or(0);
    (!job.is_empty()).then(|| SlurmJob { cluster: told("SLURM_CLUSTER_NAME"), job, restarts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(change: impl FnOnce(&mut Holder)) -> Holder {
        let mut holder = Holder { slurm: None, ..Holder::here() };
        change(&mut holder);
        holder
    }

    fn me() -> Holder {
        Holder { slurm: None, ..Holder::here() }
    }

    #[test]
    fn a_living_process_is_alive_however_long_it_is_silent() {
        assert_eq!(other(|_| ()).dead(&me(), 1e6), None);
        assert_eq!(other(|h| (h.pid, h.started) = (1, started(1).unwrap())).dead(&me(), 1e6), None);
    }

    #[test]
    fn a_process_id_used_again_is_another_process() {
        assert!(other(|h| h.started -= 1).dead(&me(), 0.0).unwrap().contains("gone"));
    }

    #[test]
    fn a_killed_child_that_nobody_waited_for_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = child.id() as i32;
        let holder = other(|h| (h.pid, h.started) = (pid, started(pid).unwrap()));
        assert_eq!(holder.dead(&me(), 0.0), None);
        child.kill().unwrap();
        while holder.dead(&me(), 0.0).is_none() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(holder.dead(&me(), 0.0).is_some());
    }

    #[test]
    fn a_missing_process_of_another_container_means_nothing() {
        let elsewhere = |change: fn(&mut Holder)| {
            other(|h| {
                h.pid = i32::MAX;
                change(h);
            })
        };
        let container = elsewhere(|h| h.pid_namespace = "pid:[1]".into());
        let host = elsewhere(|h| (h.host, h.boot) = ("n07".into(), "b".into()));
        for holder in [container, host] {
            assert_eq!(holder.dead(&me(), 119.0), None);
            assert!(holder.dead(&me(), 121.0).unwrap().contains("121 s"));
        }
        // The same name may be a host booted anew, or another of that name: a shorter wait tells.
        let rebooted = elsewhere(|h| h.boot = "b".into());
        assert_eq!((rebooted.dead(&me(), 30.0), rebooted.dead(&me(), 50.0).is_some()), (None, true));
    }

    #[test]
    fn a_requeued_job_has_no_living_predecessor_but_a_second_step_of_it_may() {
        let job = |restarts| Some(SlurmJob { cluster: "c".into(), job: "12".into(), restarts });
        let holder = other(|h| (h.host, h.boot, h.slurm) = ("n07".into(), "b".into(), job(0)));
        let now = |restarts| Holder { slurm: job(restarts), ..me() };
        assert!(holder.dead(&now(1), 0.0).unwrap().contains("Slurm"));
        assert_eq!(holder.dead(&now(0), 0.0), None);
        assert!(holder.to_string().starts_with("job 12 on host n07, pid "), "{holder}");
    }
}
