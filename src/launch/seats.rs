//! Where ranks sit: hosts and cores of all ranks together, and whether they were given more threads than cores.

use super::cores::Cores;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One rank's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    pub host: String,
    pub cores: Cores,
    /// Threads that this rank evaluates with.
    pub threads: usize,
}

/// One host and the ranks on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub name: String,
    pub ranks: Vec<usize>,
    /// Threads of all its ranks.
    pub threads: usize,
    /// Cores that these ranks have together.
    pub cores: usize,
}

/// The seat of this process.
pub fn here(threads: usize) -> Seat {
    Seat { host: host_name(), cores: super::cores::granted(), threads }
}

pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_string()
}

/// Hosts in the order of their first ranks. A quota holds for all ranks of a host together.
pub fn hosts(seats: &[Seat]) -> Vec<Host> {
    let mut by_host: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (rank, seat) in seats.iter().enumerate() {
        by_host.entry(&seat.host).or_default().push(rank);
    }
    let host = |(name, ranks): (&str, Vec<usize>)| {
        let cpus: BTreeSet<usize> = ranks.iter().flat_map(|r| seats[*r].cores.affinity.iter().copied()).collect();
        let quota = ranks.iter().filter_map(|r| seats[*r].cores.quota).fold(f64::INFINITY, f64::min);
        let cores = if quota.is_finite() { cpus.len().min((quota as usize).max(1)) } else { cpus.len() };
        Host { name: name.into(), threads: ranks.iter().map(|r| seats[*r].threads).sum(), cores, ranks }
    };
    let mut all: Vec<Host> = by_host.into_iter().map(host).collect();
    all.sort_by_key(|host| host.ranks[0]);
    all
}

/// One sentence for each host with more threads than cores, and one for the first rank that runs more
/// threads than it was granted.
pub fn warnings(seats: &[Seat]) -> Vec<String> {
    let mut out = Vec::new();
    for host in hosts(seats).iter().filter(|host| host.threads > host.cores) {
        out.push(format!(
            "host {}: {} ranks run {} threads on {} cores; calls that keep a core busy will wait for each other. Use fewer ranks, \
             fewer threads (--ncores), or ask for more cores.",
            host.name,
            host.ranks.len(),
            host.threads,
            host.cores
        ));
    }
    let over = seats.iter().enumerate().find(|(_, s)| s.threads > s.cores.granted && s.threads > 1);
    out.extend(over.map(|(rank, seat)| {
        format!(
            "rank {rank} runs {} threads but was granted {} cores ({}); set --ncores {} or ask for more.",
            seat.threads,
            seat.cores.granted,
            seat.cores.reason(),
            seat.cores.granted
        )
    }));
    out
}
