//! One rank and no MPI.

use super::link::{Link, Message, Pending, Tag};

/// The only rank there is: collectives are trivial, and there is nobody to send to.
pub struct Solo;

struct Nothing;

impl Pending for Nothing {
    fn ready(&mut self) -> bool {
        true
    }
    fn take(&mut self) -> Vec<f64> {
        Vec::new()
    }
}

impl Link for Solo {
    fn rank(&self) -> usize {
        0
    }
    fn size(&self) -> usize {
        1
    }
    fn broadcast_into(&self, _from: usize, _bytes: &mut [u8]) {}
    fn minimum(&self, value: i64) -> i64 {
        value
    }
    fn scatter(&self, _data: Vec<f64>, _counts: &[usize]) -> Box<dyn Pending> {
        Box::new(Nothing)
    }
    fn scatter_share(&self, _len: usize) -> Box<dyn Pending> {
        unreachable!("a single rank is the root")
    }
    fn gather(&self, _counts: &[usize]) -> Box<dyn Pending> {
        Box::new(Nothing)
    }
    fn gather_share(&self, _data: Vec<f64>) -> Box<dyn Pending> {
        unreachable!("a single rank is the root")
    }
    fn send(&self, to: usize, _tag: Tag, _bytes: Vec<u8>) {
        unreachable!("there is no rank {to}")
    }
    fn receive(&self) -> Option<Message> {
        None
    }
    fn unsent(&self) -> usize {
        0
    }
    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}
