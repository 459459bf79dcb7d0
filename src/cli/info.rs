//! `fitjob info`: what this build is, who started it, and what it was granted.

use crate::launch::seats::{Host, hosts};
use crate::world::{self, World};
use std::fmt::Write as _;
use std::io::Write as _;

/// Collective: prints on the root.
pub fn run(world: &mut World) {
    let seats = world.seats(1);
    if world.is_root() {
        // A closed pipe is not an error of ours.
        let _ = std::io::stdout().write_all(describe(world, &hosts(&seats)).as_bytes());
    }
}

fn describe(world: &World, hosts: &[Host]) -> String {
    let launch = world.launch();
    let mut rows = vec![("fitjob", format!("{} ({})", env!("CARGO_PKG_VERSION"), features())), ("launcher", launch.launcher.to_string())];
    rows.extend(launch.slurm_job.as_ref().map(|job| ("Slurm job", job.clone())));
    rows.push(("ranks", world.size().to_string()));
    rows.push(("MPI", mpi(world)));
    rows.push(("HDF5", hdf5_library()));
    let cores = crate::launch::cores::granted();
    rows.push(("cores granted", format!("{} by {}", cores.granted, cores.reason())));
    let limits: Vec<String> = cores.limits.iter().map(|(what, n)| format!("{what} {n}")).collect();
    rows.push(("limits found", limits.join(", ")));
    for host in hosts {
        rows.push(("host", format!("{}: {} on {} cores", host.name, ranks(&host.ranks), host.cores)));
    }
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<14} {value}");
        text
    })
}

fn features() -> String {
    let all = [("mpi", cfg!(feature = "mpi")), ("mpio", cfg!(feature = "mpio")), ("ode", cfg!(feature = "ode"))];
    let on: Vec<&str> = all.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    if on.is_empty() { "no optional features".into() } else { format!("features {}", on.join(", ")) }
}

/// The first line of what the library says of itself; MPICH goes on with its configure options.
fn mpi(world: &World) -> String {
    match world.mpi_library() {
        Some(text) => text.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        None if cfg!(feature = "mpi") => format!("{}, not in use", world::library()),
        None => "not built in".into(),
    }
}

fn hdf5_library() -> String {
    let (major, minor, release) = hdf5::library_version();
    let driver = if cfg!(feature = "mpio") { "drivers sec2 and mpio" } else { "driver sec2" };
    format!("{major}.{minor}.{release}, {driver}")
}

/// "rank 0", "ranks 0-3", "ranks 0, 2, 4" (round robin).
fn ranks(ranks: &[usize]) -> String {
    let all = ranks.len();
    match ranks {
        [one] => format!("rank {one}"),
        [first, .., last] if last - first + 1 == all => format!("{all} ranks ({first}-{last})"),
        _ => format!("{all} ranks ({})", ranks.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}
