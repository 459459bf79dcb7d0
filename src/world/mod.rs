//! The ranks of a run: who is there, who may write, and the few calls that all ranks make together.
//!
//! `World` owns this rank's end of the lines. Collectives take `&mut self`, so that none can be called
//! while a [`Role`] is held; everything between root and workers goes through the role.

pub(crate) mod link;
mod loopback;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "mpi")]
pub use self::mpi::comm_self;
pub mod panics;
pub(crate) mod patience;
pub(crate) mod pulse;
mod solo;

use crate::launch::mismatch::{self, Library, Refusal};
use crate::launch::seats::{self, Seat};
use crate::launch::{self, Env, Launch};
use link::{Link, Tag};
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// All ranks of this run, seen from this one.
pub struct World {
    link: Box<dyn Link>,
    launch: Launch,
    /// MPI's text about itself, where MPI is up.
    library: Option<String>,
}

/// What this rank is while the work goes on.
pub enum Role<'w> {
    Root(Root<'w>),
    Worker(Worker<'w>),
}

/// Rank 0: decides, writes, and evaluates too. Everything that writes takes `&Root`, and there is no way
/// to make one but [`World::enter`] on rank 0. Neither `Clone` nor `Send`:
///
/// ```compile_fail
/// fn to_another_thread<T: Send>() {}
/// to_another_thread::<fitjob::world::Root>();
/// ```
pub struct Root<'w> {
    link: &'w dyn Link,
    _not_send: PhantomData<*const ()>,
}

/// Any other rank: evaluates, and writes nothing.
pub struct Worker<'w> {
    link: &'w dyn Link,
    _not_send: PhantomData<*const ()>,
}

/// Some rank failed, and all know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The first rank that failed.
    pub rank: usize,
    /// Its message.
    pub message: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.rank {
            0 => f.write_str(&self.message),
            rank => write!(f, "rank {rank}: {}", self.message),
        }
    }
}

impl std::error::Error for Disagreement {}

impl World {
    /// Joins the ranks that the launcher started: MPI where it is built in, one rank otherwise.
    /// Errors: a launch in which every process would think it is alone ([`Refusal::exit`] ends it).
    pub fn init() -> Result<World, Refusal> {
        let launch = launch::detect(&Env::of_process());
        match mismatch::before_init(&launch, library()) {
            Some(refusal) => Err(refusal),
            None => World::connect(launch),
        }
    }

    #[cfg(feature = "mpi")]
    fn connect(launch: Launch) -> Result<World, Refusal> {
        let link = mpi::Mpi::init();
        if let Some(refusal) = mismatch::after_init(&launch, library(), link.size()) {
            return Err(refusal);
        }
        panics::install((link.size() > 1).then_some((link.rank(), mpi::end_all)));
        Ok(World { link: Box::new(link), launch, library: Some(mpi::library_version()) })
    }

    #[cfg(not(feature = "mpi"))]
    fn connect(launch: Launch) -> Result<World, Refusal> {
        Ok(World { launch, ..World::solo() })
    }

    /// One rank, no MPI: what a library user or a test starts with.
    pub fn solo() -> World {
        World { link: Box::new(solo::Solo), launch: Launch::alone(), library: None }
    }

    /// Runs `program` on `ranks` ranks that are threads of this process, and gives what each returned.
    /// For tests: the code is the same as under MPI. Panics if a rank panics.
    pub fn loopback<R: Send>(ranks: usize, program: impl Fn(World) -> R + Sync) -> Vec<R> {
        std::thread::scope(|scope| {
            let start = |link: loopback::Loopback| {
                let program = &program;
                let world = move || World { link: Box::new(link), launch: Launch::alone(), library: None };
                scope.spawn(move || program(world()))
            };
            let threads: Vec<_> = loopback::connect(ranks).into_iter().map(start).collect();
            threads.into_iter().map(|t| t.join().expect("a loopback rank panicked")).collect()
        })
    }

    pub fn rank(&self) -> usize {
        self.link.rank()
    }

    pub fn size(&self) -> usize {
        self.link.size()
    }

    pub fn is_root(&self) -> bool {
        self.rank() == 0
    }

    /// What the launcher said.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Name and version of the MPI library in use; none where this is one rank without MPI. Parallel
    /// HDF5's MPI-IO driver may be used only where there is one.
    pub fn mpi_library(&self) -> Option<&str> {
        self.library.as_deref()
    }

    /// How long a rank may be silent until it counts as gone. While the crew works all ranks give signs of life; where all wait for
    /// one that writes or reads, they wait ten times as long. At first 120 s are assumed.
    pub fn set_silence_limit(&mut self, limit: Duration) {
        self.link.set_silence_limit(limit);
    }

    /// Says goodbye to the other ranks (MPI_Finalize), which all must do. Gives `code`, with which the process ends even where
    /// the goodbye hangs: by then the work is done.
    pub fn leave(self, code: i32) -> i32 {
        self.link.set_exit_code(code);
        code
    }

    /// Takes up this rank's role until the role is dropped.
    pub fn enter(&mut self) -> Role<'_> {
        let link = &*self.link;
        match link.rank() {
            0 => Role::Root(Root { link, _not_send: PhantomData }),
            _ => Role::Worker(Worker { link, _not_send: PhantomData }),
        }
    }

    /// Collective: the root's bytes on every rank, of any length. The root gives `Some`; what other
    /// ranks give is not looked at.
    pub fn broadcast_bytes(&mut self, bytes: Option<Vec<u8>>) -> Vec<u8> {
        self.broadcast_from(0, bytes.unwrap_or_default(), BROADCAST_CHUNK)
    }

    fn broadcast_from(&mut self, from: usize, bytes: Vec<u8>, chunk: usize) -> Vec<u8> {
        let mut length = (bytes.len() as u64).to_le_bytes();
        self.link.broadcast_into(from, &mut length);
        let mut bytes = if self.rank() == from { bytes } else { vec![0; u64::from_le_bytes(length) as usize] };
        for part in bytes.chunks_mut(chunk) {
            self.link.broadcast_into(from, part);
        }
        bytes
    }

    /// Collective: every rank succeeds with its own value, or all fail with the first failing rank's
    /// message, so that none goes on to wait for one that has left.
    pub fn agree<T, E: fmt::Display>(&mut self, result: Result<T, E>) -> Result<T, Disagreement> {
        let me = self.rank();
        let (value, message) = match result {
            Ok(value) => (Some(value), String::new()),
            Err(error) => (None, error.to_string()),
        };
        let first = self.link.minimum(if value.is_some() { i64::MAX } else { me as i64 });
        if let (i64::MAX, Some(value)) = (first, value) {
            return Ok(value);
        }
        let rank = first as usize;
        let message = self.broadcast_from(rank, message.into_bytes(), BROADCAST_CHUNK);
        Err(Disagreement { rank, message: String::from_utf8_lossy(&message).into_owned() })
    }

    /// Collective: on the root the bytes of every rank in rank order, on the others nothing.
    pub fn gather_bytes(&mut self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut patience = patience::Patience::new(patience::Bell::default());
        let start = Instant::now();
        let mut pause = |missing: &[usize]| {
            if start.elapsed() > self.link.wait_limit() {
                let seconds = start.elapsed().as_secs();
                pulse::gone(&*self.link, &format!("rank {} has not heard from ranks {missing:?} within {seconds} s", self.link.rank()));
            }
            patience.pause();
        };
        if !self.is_root() {
            self.link.send(0, Tag::Census, bytes);
            while self.link.unsent() > 0 {
                assert!(self.link.receive().is_none(), "the root sends nothing during a gather");
                pause(&[0]);
            }
            self.link.minimum(0);
            return Vec::new();
        }
        let mut all = vec![Vec::new(); self.size()];
        all[0] = bytes;
        let mut missing: Vec<usize> = (1..self.size()).collect();
        while !missing.is_empty() {
            match self.link.receive() {
                Some(message) => {
                    all[message.from] = message.bytes;
                    missing.retain(|rank| *rank != message.from);
                }
                None => pause(&missing),
            }
        }
        // Nobody goes on before all is received: a later message cannot be taken for one of these.
        self.link.minimum(0);
        all
    }

    /// Collective: on the root the places of all ranks in rank order, on the others nothing. Each rank says
    /// how many threads it will evaluate with.
    pub fn seats(&mut self, threads: usize) -> Vec<Seat> {
        let mine = postcard::to_stdvec(&seats::here(threads)).expect("plain data can be encoded");
        let all = self.gather_bytes(mine);
        all.iter().map(|bytes| postcard::from_bytes(bytes).expect("ranks run the same build of fitjob")).collect()
    }

    /// Ends all ranks at once, with `code` as far as the launcher passes it on. For what cannot be agreed.
    pub fn abort(&self, code: i32) -> ! {
        self.link.abort(code)
    }
}

/// Below the 2^31 that an MPI count may be.
const BROADCAST_CHUNK: usize = 1 << 30;

impl<'w> Root<'w> {
    pub fn ranks(&self) -> usize {
        self.link.size()
    }
    /// What ends all ranks with an exit code from another thread, while the root's own is lost outside of MPI.
    pub(crate) fn ending(&self) -> fn(i32) -> ! {
        self.link.ending()
    }
    pub(crate) fn link(&self) -> &'w dyn Link {
        self.link
    }
}

impl<'w> Worker<'w> {
    pub fn rank(&self) -> usize {
        self.link.rank()
    }
    pub(crate) fn link(&self) -> &'w dyn Link {
        self.link
    }
}

/// The MPI library that this program was built with.
pub fn library() -> Library {
    #[cfg(feature = "mpi")]
    return Library::from_version(&mpi::library_version());
    #[cfg(not(feature = "mpi"))]
    Library::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_bytes_reach_every_rank_in_chunks() {
        let bytes: Vec<u8> = (0..1000).map(|i| i as u8).collect();
        for chunk in [1, 7, 1000, 4096] {
            let got = World::loopback(3, |mut world| {
                let mine = if world.is_root() { bytes.clone() } else { Vec::new() };
                world.broadcast_from(0, mine, chunk)
            });
            assert!(got.iter().all(|g| *g == bytes));
        }
    }

    #[test]
    fn all_ranks_fail_with_the_first_failing_ranks_message() {
        let got = World::loopback(5, |mut world| {
            let rank = world.rank();
            world.agree(if rank == 2 || rank == 4 { Err(format!("no room on {rank}")) } else { Ok(rank) })
        });
        let expected = Disagreement { rank: 2, message: "no room on 2".into() };
        assert!(got.iter().all(|g| g.as_ref() == Err(&expected)), "{got:?}");
        assert_eq!(expected.to_string(), "rank 2: no room on 2");
    }

    #[test]
    fn each_rank_keeps_its_own_value_when_all_agree() {
        let got = World::loopback(4, |mut world| {
            let rank = world.rank();
            world.agree::<_, String>(Ok(rank * 10)).unwrap()
        });
        assert_eq!(got, [0, 10, 20, 30]);
    }

    #[test]
    fn the_root_gathers_bytes_in_rank_order() {
        let got = World::loopback(4, |mut world| {
            let rank = world.rank() as u8;
            world.gather_bytes(vec![rank; rank as usize])
        });
        assert_eq!(got[0], [vec![], vec![1], vec![2, 2], vec![3, 3, 3]]);
        assert!(got[1..].iter().all(Vec::is_empty));
    }

    #[test]
    fn one_rank_is_the_root_and_agrees_with_itself() {
        let mut world = World::solo();
        assert!(matches!(world.enter(), Role::Root(_)));
        assert_eq!(world.broadcast_bytes(Some(vec![1, 2])), [1, 2]);
        assert_eq!(world.agree::<u8, _>(Err("no")).unwrap_err().to_string(), "no");
    }
}
