//! Reads the weighted samples of a result.h5 again.

use super::OutputError;
use crate::stats;
use std::path::Path;

/// Weighted samples by column, as the group `weighted` of a result holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// n, they sum to 1.
    pub weights: Vec<f64>,
    /// By the job's own names: parameters that vary and derived quantities, n values each.
    pub columns: Vec<(String, Vec<f64>)>,
}

impl Samples {
    /// # Errors
    /// A file that is absent or was not written by fitjob.
    pub fn read(path: &Path) -> Result<Samples, OutputError> {
        let understood = || -> hdf5::Result<Samples> {
            let group = hdf5::File::open(path)?.group("weighted")?;
            let mut columns = Vec::new();
            for dataset in group.datasets()? {
                // Quantities of the fit carry their own name; weights, likelihoods and coordinates do not.
                let Ok(name) = dataset.attr("name") else { continue };
                let name = name.read_scalar::<hdf5::types::VarLenUnicode>()?;
                columns.push((name.as_str().to_string(), dataset.read_raw::<f64>()?));
            }
            Ok(Samples { weights: stats::weights(&group.dataset("log_weight")?.read_raw::<f64>()?), columns })
        };
        understood().map_err(|e| OutputError::cannot("understand", path, e))
    }

    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, values)| values.as_slice())
    }
}
