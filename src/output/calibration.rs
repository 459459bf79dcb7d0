//! The files of a calibration in a run directory: sbc.json and ranks.csv.

use super::rundir::{RANKS, SBC};
use super::{OutputError, Root, RunDir, atomic};
use std::path::Path;

impl RunDir {
    /// Writes both, each complete or not at all. `ranks.csv` first: what `sbc.json` tells of is there.
    pub fn write_calibration(&self, _root: &Root, json: &str, csv: &str) -> Result<(), OutputError> {
        self.still_ours()?;
        atomic::write(&self.path().join(RANKS), csv.as_bytes())?;
        atomic::write(&self.path().join(SBC), format!("{json}\n").as_bytes())
    }

    /// The text of `sbc.json` in the directory at `path`; none where it holds no calibration.
    pub fn calibration(path: &Path) -> Option<String> {
        std::fs::read_to_string(path.join(SBC)).ok()
    }
}
