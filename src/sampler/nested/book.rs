//! Every point of the run with the contour above which it was born: all that evidence, weights and errors are made of.
//!
//! Any collection of such points is a valid nested sampling run (Higson et al. 2019; Buchner 2023): the number alive at a contour is
//! that of the points born below it and not yet dead. Merging runs is therefore putting their points together.

use serde::{Deserialize, Serialize};

/// Stands for log L = -inf: below every likelihood above zero, and above [`PRIOR`].
pub const ZERO: f64 = f64::MIN;
/// The contour of draws from the prior: below everything.
pub const PRIOR: f64 = f64::NEG_INFINITY;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    pub n_dim: usize,
    /// n x n_dim in the cube.
    #[serde(with = "crate::bulk::reals")]
    pub u: Vec<f64>,
    /// [`ZERO`] where the likelihood is.
    #[serde(with = "crate::bulk::reals")]
    pub log_like: Vec<f64>,
    /// log L that the point had to exceed when it was drawn.
    #[serde(with = "crate::bulk::reals")]
    pub birth: Vec<f64>,
    /// Which pass (run or batch) each point belongs to.
    pub pass: Vec<u32>,
    /// The point from which each descends by walks; a draw is the first of its family.
    pub family: Vec<u32>,
}

impl Book {
    pub fn push(&mut self, u: &[f64], log_like: f64, birth: f64, pass: u32, family: Option<u32>) -> u32 {
        let id = self.log_like.len() as u32;
        self.u.extend_from_slice(u);
        self.log_like.push(log_like);
        self.birth.push(birth);
        self.pass.push(pass);
        self.family.push(family.unwrap_or(id));
        id
    }

    pub fn at(&self, id: u32) -> &[f64] {
        &self.u[id as usize * self.n_dim..(id as usize + 1) * self.n_dim]
    }

    pub fn len(&self) -> usize {
        self.log_like.len()
    }

    /// The points of one pass alone.
    pub fn of_pass(&self, pass: u32) -> Book {
        let mut part = Book { n_dim: self.n_dim, ..Book::default() };
        for id in (0..self.len() as u32).filter(|id| self.pass[*id as usize] == pass) {
            part.push(self.at(id), self.log_like[id as usize], self.birth[id as usize], pass, None);
        }
        part
    }
}
