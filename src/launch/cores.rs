//! Cores this process was granted: the least of what scheduler, container and user say, never the machine's count.

use super::Env;
use std::path::{Path, PathBuf};

/// Cores granted, and every limit that was found, in the order looked at.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cores {
    pub granted: usize,
    /// (what says so, how many).
    pub limits: Vec<(String, usize)>,
    /// Numbers of the CPUs that the process may run on.
    pub affinity: Vec<usize>,
    /// CPU quota of the control group, in cores, shared by all processes in it.
    pub quota: Option<f64>,
}

impl Cores {
    /// The limit that decided.
    pub fn reason(&self) -> &str {
        self.limits.iter().find(|(_, n)| *n == self.granted).map_or("nothing", |(what, _)| what)
    }
}

/// Cores granted to this process.
pub fn granted() -> Cores {
    grant(&Env::of_process(), affinity(), quota(Path::new("/")))
}

/// The same as a pure function. A quota of 1.5 cores counts as 1.
pub fn grant(env: &Env, affinity: Vec<usize>, quota: Option<f64>) -> Cores {
    let mut limits = vec![("CPU affinity".to_string(), affinity.len())];
    limits.extend(quota.map(|q| ("control group quota".to_string(), q as usize)));
    for name in ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"] {
        limits.extend(env.number(name).filter(|n| *n > 0).map(|n| (name.to_string(), n)));
    }
    let granted = limits.iter().map(|(_, n)| *n).min().unwrap_or(1).max(1);
    Cores { granted, limits, affinity, quota }
}

/// CPUs the kernel lets this process run on.
pub fn affinity() -> Vec<usize> {
    // SAFETY: the set is plain data, and its size is given.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return vec![0];
        }
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
    }
}

/// Reads the quota of one control group.
type ReadQuota = fn(&Path) -> Option<f64>;

/// CPU quota in cores from the control groups below `root` (version 2: cpu.max; version 1:
/// cpu.cfs_quota_us): the least on the way from the process's group up to the top.
pub fn quota(root: &Path) -> Option<f64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let fs = root.join("sys/fs/cgroup");
    let mut least: Option<f64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let tops: Vec<(PathBuf, ReadQuota)> = if controllers.is_empty() {
            vec![(fs.clone(), quota_v2)]
        } else if controllers.split(',').any(|c| c == "cpu") {
            vec![(fs.join(controllers), quota_v1), (fs.join("cpu"), quota_v1)]
        } else {
            continue;
        };
        for (top, read) in tops {
            // In a container the path may be the host's: the mounted top is looked at in any case.
            let found = Path::new(path).ancestors().filter_map(|up| read(&top.join(up.strip_prefix("/").unwrap_or(up))));
            least = found.chain(least).reduce(f64::min);
        }
    }
    least
}

fn quota_v2(group: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(group.join("cpu.max")).ok()?;
    let mut words = text.split_whitespace();
    ratio(words.next()?.parse().ok()?, words.next()?.parse().ok()?)
}

fn quota_v1(group: &Path) -> Option<f64> {
    let number = |name: &str| std::fs::read_to_string(group.join(name)).ok()?.trim().parse::<f64>().ok();
    ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
}

/// No limit is written as -1 (version 1) or "max" (version 2, which does not parse).
fn ratio(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}
