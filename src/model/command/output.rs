//! What a child prints: line by line to our stderr, not too much of it, and the last lines kept for messages.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

/// Lines kept for messages, and the longest line in bytes.
const KEPT: usize = 15;
const LONGEST: usize = 2000;
/// Lines told at once, and a second from then on.
const BURST: f64 = 200.0;
const PER_SECOND: f64 = 10.0;

pub struct Output {
    /// None: closed.
    pipe: Option<File>,
    prefix: String,
    line: Vec<u8>,
    last: VecDeque<String>,
    allowed: f64,
    since: Instant,
    left_out: usize,
}

impl Output {
    /// `pipe` does not block.
    pub fn new(pipe: File, worker: usize) -> Output {
        let prefix = format!("[rank {} worker {worker}] ", super::child::rank());
        Output { pipe: Some(pipe), prefix, line: Vec::new(), last: VecDeque::new(), allowed: BURST, since: Instant::now(), left_out: 0 }
    }

    /// For `poll`; -1, which it passes over, where the pipe is closed.
    pub fn fd(&self) -> RawFd {
        self.pipe.as_ref().map_or(-1, |pipe| pipe.as_raw_fd())
    }

    /// Tells what there is by now.
    pub fn tell(&mut self) {
        let mut buffer = [0; 8192];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    self.end_line();
                }
                Ok(n) => buffer[..n].iter().for_each(|byte| self.push(*byte)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(),
            _ if self.line.len() < LONGEST => self.line.push(byte),
            _ => {}
        }
    }

    fn end_line(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_string();
        self.allowed = (self.allowed + PER_SECOND * self.since.elapsed().as_secs_f64()).min(BURST);
        self.since = Instant::now();
        if self.allowed < 1.0 {
            self.left_out += 1;
        } else {
            self.allowed -= 1.0;
            let note = match std::mem::take(&mut self.left_out) {
                0 => String::new(),
                n => format!("{}({n} lines left out)\n", self.prefix),
            };
            // One write a line, so that ranks do not mix within one.
            let _ = std::io::stderr().write_all(format!("{note}{}{line}\n", self.prefix).as_bytes());
        }
        self.last.push_back(line);
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }

    /// The end of a message: the last lines, if any.
    pub fn last_words(&self) -> String {
        match self.last.is_empty() {
            true => "; it printed nothing".into(),
            false => format!("; its last words:\n    {}", self.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n    ")),
        }
    }
}
