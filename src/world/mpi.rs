//! Ranks of MPI, through rsmpi: the only file that knows MPI.
//!
//! Every wait is a non-blocking call, `test` and a back-off ([`Patience`]): a blocking call burns the core.

use super::link::{Link, Message, Pending, Tag};
use super::patience::{Bell, Patience};
use super::pulse::{Deadline, LAST_CALL, gone};
use crate::launch::{WORDS, mismatch::EXIT_CODE};
use mpi::collective::{CommunicatorCollectives, Root as _, SystemOperation};
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::ffi::MPI_Request;
use mpi::point_to_point::{Destination, MatchedReceiveVec, Source};
use mpi::request::{Request, Scope, StaticScope};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::{Count, Threading};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// How long a rank may be silent until the job says so.
const SILENCE: Duration = Duration::from_secs(120);
/// Waits outside of the crew's work take so many times as long: a rank that writes or reads files gives no sign of life.
const OUTSIDE: u32 = 10;
/// How long MPI_Finalize may take: all ranks call it at one time.
const GOODBYE: Duration = Duration::from_secs(20);
/// So much earlier than the others the root calls it. MPICH 4.0 over UCX with TCP alone hangs there where a rank is done while
/// another still needs it to close their connection: with us always, in three lines of C now and then, but not in this order after a barrier.
const ROOT_FIRST: Duration = Duration::from_millis(50);
/// Where it hangs all the same, the root leaves later than the others: to MPICH's mpiexec all is well, mostly, as long as one is in MPI_Finalize.
const ROOT_LAST: Duration = Duration::from_secs(1);

/// This rank's end. Fields drop in this order: communicators before MPI is finalised.
pub struct Mpi {
    /// Rounds and point-to-point messages; agreements go over the world communicator.
    crew: SimpleCommunicator,
    world: SimpleCommunicator,
    sends: RefCell<Vec<Posted<u8>>>,
    silence: Cell<Duration>,
    exit_code: Cell<i32>,
    _universe: Universe,
    /// Over MPI_Finalize, while the universe is dropped.
    finalising: Option<Deadline>,
}

/// Name and version of the library; may be asked before MPI_Init.
pub fn library_version() -> String {
    let text = mpi::environment::library_version().unwrap_or_default();
    text.trim_end_matches(['\0', '\n']).to_string()
}

/// MPI_COMM_SELF while MPI is up, for libraries that want a communicator (parallel HDF5); none before and after.
pub fn comm_self() -> Option<mpi::ffi::MPI_Comm> {
    let (mut up, mut down) = (0, 0);
    // SAFETY: both may be called at any time, and write one int each; the constant is set when the library is loaded.
    unsafe {
        mpi::ffi::MPI_Initialized(&mut up);
        mpi::ffi::MPI_Finalized(&mut down);
        (up != 0 && down == 0).then_some(mpi::ffi::RSMPI_COMM_SELF)
    }
}

/// MPI_Abort of everything; what a panic outside a task does.
pub fn end_all() -> ! {
    abort(101)
}

/// MPI_Abort, and the end of this process even if that does not return.
fn abort(code: i32) -> ! {
    let _deadline = Deadline::new(LAST_CALL, code, "MPI_Abort");
    SimpleCommunicator::world().abort(code)
}

impl Mpi {
    /// MPI_Init_thread with FUNNELED: threads compute, this one speaks MPI. Once a process.
    pub fn init() -> Mpi {
        let (universe, _level) = mpi::initialize_with_threading(Threading::Funneled).expect("MPI is initialised once");
        crate::stop::still_listen();
        let world = universe.world();
        Mpi {
            crew: world.duplicate(),
            world,
            sends: RefCell::default(),
            silence: Cell::new(SILENCE),
            exit_code: Cell::new(EXIT_CODE),
            _universe: universe,
            finalising: None,
        }
    }

    /// Waits lightly until a request has completed.
    fn wait<'a, D: ?Sized, S: Scope<'a>>(&self, mut request: Request<'a, D, S>) {
        let mut patience = Patience::new(Bell::default());
        let start = Instant::now();
        while let Err(still) = request.test() {
            request = still;
            if start.elapsed() > self.wait_limit() {
                let waited = start.elapsed().as_secs();
                gone(self, &format!("rank {} has waited for {waited} s in a step that all ranks take together", self.rank()));
            }
            patience.pause();
        }
    }
}

/// A posted call and the memory it reads or writes, which stays in place until the call has completed.
struct Posted<T> {
    request: Option<MPI_Request>,
    data: Box<[T]>,
    _counts: Box<[Count]>,
    _starts: Box<[Count]>,
}

impl<T: 'static> Posted<T> {
    /// `post` makes the call on the buffers it is given; they outlive the request (see `Drop`).
    fn new(
        mut data: Box<[T]>,
        counts: Box<[Count]>,
        post: impl FnOnce(&'static mut [T], &'static [Count], &'static [Count]) -> MPI_Request,
    ) -> Posted<T> {
        let starts: Box<[Count]> = counts.iter().scan(0, |sum, n| Some(std::mem::replace(sum, *sum + n))).collect();
        // SAFETY: the boxes' memory does not move with `Posted`, is not touched before the request has
        // completed (`ready` gates `take`), and is leaked if `Posted` is dropped before that.
        let request = unsafe {
            let lent_data = std::slice::from_raw_parts_mut(data.as_mut_ptr(), data.len());
            let lent_counts = std::slice::from_raw_parts(counts.as_ptr(), counts.len());
            let lent_starts = std::slice::from_raw_parts(starts.as_ptr(), starts.len());
            post(lent_data, lent_counts, lent_starts)
        };
        Posted { request: Some(request), data, _counts: counts, _starts: starts }
    }

    fn completed(&mut self) -> bool {
        if let Some(raw) = self.request {
            // SAFETY: an active request of ours, tested through rsmpi and taken back if still active.
            let request = unsafe { Request::<[u8]>::from_raw(raw, &[], StaticScope) };
            match request.test() {
                Ok(_) => self.request = None,
                Err(still) => self.request = Some(unsafe { still.into_raw() }.0),
            }
        }
        self.request.is_none()
    }
}

impl<T> Drop for Posted<T> {
    fn drop(&mut self) {
        if self.request.is_some() {
            std::mem::forget((std::mem::take(&mut self.data), std::mem::take(&mut self._counts), std::mem::take(&mut self._starts)));
        }
    }
}

impl Pending for Posted<f64> {
    fn ready(&mut self) -> bool {
        self.completed()
    }
    fn take(&mut self) -> Vec<f64> {
        assert!(self.request.is_none(), "taken before it was ready");
        std::mem::take(&mut self.data).into_vec()
    }
}

/// Data that was only sent is nothing to take.
struct Sent(Posted<f64>);

impl Pending for Sent {
    fn ready(&mut self) -> bool {
        self.0.completed()
    }
    fn take(&mut self) -> Vec<f64> {
        Vec::new()
    }
}

/// The raw handle of a request; `Posted` sees to its completion.
fn raw<D: ?Sized>(request: Request<'static, D>) -> MPI_Request {
    // SAFETY: see `Posted::new`.
    unsafe { request.into_raw() }.0
}

fn to_counts(counts: &[usize]) -> Box<[Count]> {
    counts.iter().map(|n| Count::try_from(*n).expect("a share is below 2^31 numbers")).collect()
}

fn zeros(n: usize) -> Box<[f64]> {
    vec![0.0; n].into_boxed_slice()
}

impl Drop for Mpi {
    fn drop(&mut self) {
        let limit = self.silence.get().min(GOODBYE);
        let limit = if self.rank() == 0 { limit + ROOT_LAST } else { limit };
        self.finalising = Some(Deadline::new(limit, self.exit_code.get(), "MPI_Finalize"));
        self.minimum(0);
        if self.rank() != 0 && library_version().starts_with("MPICH") {
            std::thread::sleep(ROOT_FIRST);
        }
    }
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }
    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn broadcast_into(&self, from: usize, bytes: &mut [u8]) {
        let root = self.world.process_at_rank(from as i32);
        mpi::request::scope(|scope| self.wait(root.immediate_broadcast_into(scope, bytes)));
    }

    fn minimum(&self, value: i64) -> i64 {
        let mut least = value;
        mpi::request::scope(|scope| self.wait(self.world.immediate_all_reduce_into(scope, &value, &mut least, SystemOperation::min())));
        least
    }

    fn scatter(&self, data: Vec<f64>, counts: &[usize]) -> Box<dyn Pending> {
        let root = self.crew.process_at_rank(0);
        Box::new(Sent(Posted::new(data.into_boxed_slice(), to_counts(counts), |data, counts, starts| {
            let parts = Partition::new(data, counts, starts);
            // SAFETY: MPI keeps the addresses of data, counts and starts, which live in `Posted`; the
            // `Partition` only carries them.
            #[allow(clippy::deref_addrof)] // the way to a longer lifetime
            let parts: &'static Partition<_, _, _> = unsafe { &*(&raw const parts) };
            raw(root.immediate_scatter_varcount_into_root(StaticScope, parts, &mut [] as &mut [f64]))
        })))
    }

    fn scatter_share(&self, len: usize) -> Box<dyn Pending> {
        let root = self.crew.process_at_rank(0);
        Box::new(Posted::new(zeros(len), Box::default(), |data, _, _| raw(root.immediate_scatter_varcount_into(StaticScope, data))))
    }

    fn gather(&self, counts: &[usize]) -> Box<dyn Pending> {
        let root = self.crew.process_at_rank(0);
        Box::new(Posted::new(zeros(counts.iter().sum()), to_counts(counts), |data, counts, starts| {
            let mut parts = PartitionMut::new(data, counts, starts);
            // SAFETY: as in `scatter`.
            #[allow(clippy::deref_addrof)]
            let parts: &'static mut PartitionMut<_, _, _> = unsafe { &mut *(&raw mut parts) };
            raw(root.immediate_gather_varcount_into_root(StaticScope, &[] as &[f64], parts))
        }))
    }

    fn gather_share(&self, data: Vec<f64>) -> Box<dyn Pending> {
        let root = self.crew.process_at_rank(0);
        Box::new(Sent(Posted::new(data.into_boxed_slice(), Box::default(), |data, _, _| {
            raw(root.immediate_gather_varcount_into(StaticScope, &*data))
        })))
    }

    fn send(&self, to: usize, tag: Tag, bytes: Vec<u8>) {
        assert!(i32::try_from(bytes.len()).is_ok(), "a message is below 2^31 bytes");
        let to = self.crew.process_at_rank(to as i32);
        let post = |data: &'static mut [u8], _: &[Count], _: &[Count]| raw(to.immediate_send_with_tag(StaticScope, &*data, tag as i32));
        let mut posted = Posted::new(bytes.into_boxed_slice(), Box::default(), post);
        if !posted.completed() {
            self.sends.borrow_mut().push(posted);
        }
    }

    fn receive(&self) -> Option<Message> {
        self.sends.borrow_mut().retain_mut(|send| !send.completed());
        let (message, status) = self.crew.any_process().immediate_matched_probe()?;
        let tag = Tag::from_number(status.tag()).expect("tags are ours");
        let from = status.source_rank() as usize;
        let (bytes, _) = (message, status).matched_receive_vec::<u8>();
        Some(Message { from, tag, bytes })
    }

    fn unsent(&self) -> usize {
        self.sends.borrow().len()
    }

    fn set_silence_limit(&self, limit: Duration) {
        self.silence.set(limit);
    }
    fn wait_limit(&self) -> Duration {
        self.silence.get().saturating_mul(OUTSIDE)
    }

    fn set_exit_code(&self, code: i32) {
        self.exit_code.set(code);
    }

    fn abort(&self, code: i32) -> ! {
        abort(code)
    }
    /// MPI is told that one thread calls it: that one is not inside, and never will be.
    fn ending(&self) -> fn(i32) -> ! {
        |code| {
            std::thread::sleep(WORDS);
            abort(code)
        }
    }
}
