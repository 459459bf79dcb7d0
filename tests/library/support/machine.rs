//! A machine with many ranks, in one thread: answers in random order, little room, and stops at any tell.

use std::collections::{BTreeMap, VecDeque};

use super::{Engine, Site};
use fitjob::random::{Purpose, stream, uniform};
use fitjob::sampler::{Ask, Posterior, SamplerError, restore};
use fitjob::task::{Answer, Task, TaskId, Work};
use rand_chacha::ChaCha8Rng;

/// What was seen of the engine on the way.
#[derive(Default)]
pub struct Record {
    /// Every task it ever asked for.
    pub asked: BTreeMap<TaskId, Work>,
    /// The most likelihood calls that were under way at a time.
    pub widest: usize,
    /// How often it was saved and restored.
    pub lives: usize,
}

pub struct Machine<'a> {
    pub engine: Engine,
    site: Site<'a>,
    breaks: f64,
    rng: ChaCha8Rng,
    /// Not yet answered.
    waiting: Vec<Task>,
    /// Not yet told, in the order asked, by lane.
    lanes: BTreeMap<u32, VecDeque<u64>>,
    early: BTreeMap<TaskId, Answer>,
    /// The engine gets all the room it likes, and an answer only when it waits for one: as on very many ranks.
    pub vast: bool,
    pub record: Record,
}

impl<'a> Machine<'a> {
    /// `order` chooses what happens when; after each tell the sampler is saved and restored with probability `breaks`.
    pub fn new(engine: Engine, site: Site<'a>, order: u64, breaks: f64) -> Machine<'a> {
        let rng = stream(order, Purpose::Decisions, 99, 0);
        let (waiting, lanes, early) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Machine { engine, site, breaks, rng, waiting, lanes, early, vast: false, record: Record::default() }
    }

    pub fn run(&mut self) -> Result<Posterior, SamplerError> {
        loop {
            // No room at all now and then, and now and then as much as the engine likes.
            let room = self.below(70);
            let room = if self.vast || self.chance(0.05) { usize::MAX } else { room };
            match self.engine.sampler.ask(room) {
                Ask::Done(_) => return self.engine.sampler.posterior(),
                Ask::Wait => assert!(room == 0 || !self.is_idle(), "the engine waits although nothing is outstanding"),
                Ask::Work { publish, tasks, .. } => {
                    self.site.publish(publish);
                    self.take(tasks, room);
                    if self.vast {
                        continue;
                    }
                }
            }
            self.answer_some();
            self.tell_some()?;
        }
    }

    fn is_idle(&self) -> bool {
        self.lanes.values().all(VecDeque::is_empty)
    }

    /// Notes the tasks, and what the contract says of them.
    fn take(&mut self, tasks: Vec<Task>, room: usize) {
        let is_call = |task: &&Task| matches!(task.work, Work::LogLike(_));
        assert!(tasks.iter().filter(is_call).count() <= room, "more likelihood calls than the room of {room}");
        for task in &tasks {
            let last =
                self.record.asked.range(TaskId { lane: task.id.lane, seq: 0 }..=TaskId { lane: task.id.lane, seq: u64::MAX }).next_back();
            assert!(last.is_none_or(|(last, _)| last.seq < task.id.seq), "{:?} is asked after {last:?}", task.id);
            self.record.asked.insert(task.id, task.work.clone());
            self.lanes.entry(task.id.lane).or_default().push_back(task.id.seq);
        }
        self.waiting.extend(tasks);
        let open = |(lane, seqs): (&u32, &VecDeque<u64>)| {
            let call = |seq: &&u64| matches!(self.record.asked[&TaskId { lane: *lane, seq: **seq }], Work::LogLike(_));
            seqs.iter().filter(call).count()
        };
        self.record.widest = self.record.widest.max(self.lanes.iter().map(open).sum());
    }

    /// Some of what is outstanding is done, whichever it is.
    fn answer_some(&mut self) {
        let count = if self.vast { 1 } else { self.below(2 * self.waiting.len() + 1) };
        let count = count.min(self.waiting.len());
        for _ in 0..count {
            let at = self.below(self.waiting.len());
            let task = self.waiting.swap_remove(at);
            self.early.insert(task.id, self.site.answer(&task));
        }
    }

    /// Tells what is in its turn, lane by lane from a random one on; a lane may be left before its end.
    fn tell_some(&mut self) -> Result<(), SamplerError> {
        let mut lanes: Vec<u32> = self.lanes.keys().copied().collect();
        let first = self.below(lanes.len().max(1));
        lanes.rotate_left(first);
        for lane in lanes {
            while let Some(answer) = self.next_of(lane) {
                self.engine.sampler.tell(answer)?;
                if self.chance(self.breaks) {
                    self.revive()?;
                }
                if self.chance(0.1) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn next_of(&mut self, lane: u32) -> Option<Answer> {
        let queue = self.lanes.get_mut(&lane)?;
        let answer = self.early.remove(&TaskId { lane, seq: *queue.front()? })?;
        queue.pop_front();
        Some(answer)
    }

    /// Another process takes up what was saved; `fitjob summary` has a look at it first.
    fn revive(&mut self) -> Result<(), SamplerError> {
        let saved = self.engine.sampler.save();
        let look = restore(self.engine.method, &saved)?;
        let _ = (look.progress(), look.posterior());
        self.engine.sampler = restore(self.engine.method, &saved)?;
        assert!(self.engine.sampler.save() == saved, "what is restored is not what was saved");
        self.record.lives += 1;
        Ok(())
    }

    fn below(&mut self, n: usize) -> usize {
        (uniform(&mut self.rng) * n as f64) as usize
    }

    fn chance(&mut self, p: f64) -> bool {
        uniform(&mut self.rng) < p
    }
}
