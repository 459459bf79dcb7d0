//! What encloses the live points of one generation: to draw from uniformly, and to take directions, steps and chords from.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::cells::{Cell, partition};
use super::friends::Friends;
use super::settings::Bound;
use crate::bound::ellipsoid::Ellipsoid;
use crate::bound::mixture::CubeEllipsoid;
use crate::bound::periodic::Shift;
use crate::bound::union::Union;
use crate::random::uniform;

/// What walks can reach: semi-axes times this at least, and as much as points left out ask for.
const REACH: f64 = 1.25;
/// Tries that tell the volume; they cost no likelihood.
const PROBES: usize = 100;

/// Coordinates inside are shifted: periodic ones have their widest gap at the ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Region {
    pub n_dim: usize,
    pub shift: Shift,
    /// Ellipsoids around the live points, as they are; at least one.
    pub cells: Vec<Cell>,
    /// Walks by chords stay inside one of these; none: the cube. The first is around all live points.
    reach: Vec<Ellipsoid>,
    cover: Cover,
}

/// From where uniform draws come: enlarged until points left out of it were inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Cover {
    Union(Union),
    Friends(Friends),
}

impl Region {
    /// Around `u` (n x d); the whole cube where that is too few to tell, or nothing is to be enclosed.
    pub fn around(u: &[f64], d: usize, periodic: &[usize], bound: Bound, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Region {
        if bound == Bound::None || u.len() / d < 2 * (d + 1) {
            return Region::cube(d);
        }
        let shift = Shift::of(u, d, periodic);
        let mut x = u.to_vec();
        x.chunks_exact_mut(d).for_each(|p| shift.apply(p));
        let all = Cell::around(&x, d, n_bootstrap, rng);
        let cells = if bound == Bound::Multi { partition(all.clone(), &x, d, n_bootstrap, rng) } else { vec![all.clone()] };
        let cover = match bound {
            Bound::Friends => Cover::Friends(Friends::around(&x, d, n_bootstrap, rng)),
            _ => Cover::Union(cover(&cells, d)),
        };
        let far = |cell: &Cell| scaled(&cell.ellipsoid, cell.factor.max(REACH));
        let reach = std::iter::once(&all).chain(&cells).map(far).collect();
        Region { n_dim: d, shift, cells, reach, cover }
    }

    pub fn cube(d: usize) -> Region {
        let unit = (0..d * d).map(|k| if k % (d + 1) == 0 { 0.5 } else { 0.0 }).collect();
        let cell = Cell { ellipsoid: Ellipsoid::new(vec![0.5; d], unit), share: 1.0, spread: d as f64 / 3.0, factor: 1.0 };
        Region { n_dim: d, shift: Shift::default(), cells: vec![cell], reach: Vec::new(), cover: Cover::Union(Union::cube(d)) }
    }

    /// A cell with probability in proportion to its points.
    pub fn pick(&self, rng: &mut ChaCha8Rng) -> &Cell {
        let mut left = if self.cells.len() > 1 { uniform(rng) } else { 0.0 };
        for cell in &self.cells {
            left -= cell.share;
            if left < 0.0 {
                return cell;
            }
        }
        &self.cells[self.cells.len() - 1]
    }

    /// The smallest cell that holds `x`, else the one it is nearest to.
    pub fn home(&self, x: &[f64]) -> &Cell {
        let rank = |cell: &Cell| (cell.ellipsoid.radius2(x).max(1.0 + 1e-9), cell.ellipsoid.log_volume);
        let best = self.cells.iter().min_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        best.expect("a region has a cell")
    }

    /// Whether nothing encloses the points.
    pub fn is_cube(&self) -> bool {
        self.reach.is_empty()
    }

    /// The ellipsoid that holds all that walks can reach; none: they can reach all of the cube.
    pub fn hull(&self) -> Option<&Ellipsoid> {
        self.reach.first()
    }

    /// Whether walks may come here: what is out of reach has no call made for it.
    pub fn reaches(&self, x: &[f64]) -> bool {
        self.is_cube() || self.reach[1..].iter().any(|e| e.contains(x))
    }

    /// One try at a uniform point of the region, in shifted coordinates.
    pub fn try_draw(&self, rng: &mut ChaCha8Rng, x: &mut [f64]) -> bool {
        match &self.cover {
            Cover::Union(union) => union.try_draw(rng, &mut vec![0.0; 2 * self.n_dim], x),
            Cover::Friends(friends) => friends.try_draw(rng, x),
        }
    }

    /// Log volume of what uniform draws come from, by some tries; at most that of the cube.
    pub fn log_volume(&self, rng: &mut ChaCha8Rng) -> f64 {
        let tried = match &self.cover {
            Cover::Union(union) => union.log_volume,
            Cover::Friends(friends) => friends.log_tried(),
        };
        if matches!(&self.cover, Cover::Union(union) if union.is_one_inside_the_cube()) {
            return tried;
        }
        let mut x = vec![0.0; self.n_dim];
        let hits = (0..PROBES).filter(|_| self.try_draw(rng, &mut x)).count();
        (tried + libm::log((hits as f64 + 0.5) / PROBES as f64)).min(0.0)
    }
}

pub fn scaled(ellipsoid: &Ellipsoid, factor: f64) -> Ellipsoid {
    Ellipsoid::new(ellipsoid.centre.clone(), ellipsoid.axes.iter().map(|a| a * factor).collect())
}

/// The cells, each enlarged by what points left out of it ask for; the cube where that is smaller.
fn cover(cells: &[Cell], d: usize) -> Union {
    let member = |cell: &Cell| CubeEllipsoid { n_dim: d, dims: (0..d).collect(), ellipsoid: Some(scaled(&cell.ellipsoid, cell.factor)) };
    let union = Union::new(cells.iter().map(member).collect());
    if union.log_volume < 0.0 { union } else { Union::cube(d) }
}
