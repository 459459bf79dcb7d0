//! Memory for the points of one call of a plugin and for what it answers, kept from call to call.

use crate::model::Evaluated;
use crate::model::crash::UNWRITTEN;
use crate::task::EvalError;
use std::ffi::{CStr, c_char, c_int};

/// FITJOB_MESSAGE_SIZE of fitjob.h.
pub(super) const MESSAGE: usize = 256;

/// What a status of fitjob.h means.
const OK: c_int = 0;
const REJECT: c_int = 1;
const FAILED: c_int = 2;

/// Points in, answers out: n rows each.
pub(super) struct Batch {
    pub d: usize,
    /// Derived quantities a point.
    pub k: usize,
    pub n: usize,
    /// n x d. Plugins may write to a copy only.
    pub thetas: Vec<f64>,
    pub log_likes: Vec<f64>,
    /// n x k.
    pub derived: Vec<f64>,
    pub status: Vec<c_int>,
    /// n x [`MESSAGE`]; each is empty before a call.
    pub messages: Vec<u8>,
}

impl Batch {
    pub fn new(d: usize, k: usize) -> Batch {
        let (thetas, log_likes, derived) = (Vec::new(), Vec::new(), Vec::new());
        Batch { d, k, n: 0, thetas, log_likes, derived, status: Vec::new(), messages: Vec::new() }
    }

    /// Takes the columns `places` of `thetas` (rows of `width`), or all.
    pub fn fill(&mut self, thetas: &[f64], width: usize, places: Option<&[usize]>) {
        self.n = thetas.len() / width;
        self.thetas.clear();
        match places {
            None => self.thetas.extend_from_slice(thetas),
            Some(places) => thetas.chunks_exact(width).for_each(|row| self.thetas.extend(places.iter().map(|&place| row[place]))),
        }
        self.log_likes.clear();
        self.log_likes.resize(self.n, UNWRITTEN);
        self.derived.clear();
        self.derived.resize(self.n * self.k, f64::NAN);
        self.status.clear();
        self.status.resize(self.n, OK);
        let messages = self.messages.len().max(self.n * MESSAGE);
        self.messages.resize(messages, 0);
    }

    /// What came of point `i`.
    pub fn result(&mut self, i: usize) -> Result<Evaluated, EvalError> {
        let log_like = self.log_likes[i];
        match self.status[i] {
            OK if log_like.to_bits() == UNWRITTEN.to_bits() => {
                Err(EvalError::Failed("the plugin wrote no log-likelihood for this point".into()))
            }
            OK => Ok(Evaluated { log_like, derived: self.derived[i * self.k..(i + 1) * self.k].to_vec() }),
            REJECT => Err(EvalError::Reject(self.message(i, "rejected by the plugin"))),
            FAILED => Err(EvalError::Failed(self.message(i, "the plugin says that it failed, not why"))),
            other => Err(EvalError::Fatal(format!("the plugin gave this point the status {other}, which fitjob.h does not have"))),
        }
    }

    /// The message of point `i`, which is then empty again; `otherwise` if there is none.
    pub fn message(&mut self, i: usize, otherwise: &str) -> String {
        let bytes = &mut self.messages[i * MESSAGE..(i + 1) * MESSAGE];
        let text = text_of(bytes);
        bytes.fill(0);
        if text.is_empty() { otherwise.into() } else { text }
    }

    /// The message buffers as C takes them.
    pub fn messages_ptr(&mut self) -> *mut c_char {
        self.messages.as_mut_ptr().cast()
    }
}

/// The text before the first zero, or all of it: a plugin may have filled the buffer to its end.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes);
    String::from_utf8_lossy(text).trim().to_string()
}
