//! Tables of numbers: columns by name, read from CSV, whitespace text or HDF5 on the root, then sent to all.

mod hdf5_file;
mod text;

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Columns of equal length, by name, all values finite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Where it came from, for messages.
    pub source: String,
    pub columns: Vec<(String, Vec<f64>)>,
}

/// What is wrong with a data file, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct DataError {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: Option<usize>,
    /// Name of the column, or its number from 1 where columns have no names.
    pub column: Option<String>,
    pub message: String,
    pub help: Option<String>,
}

impl DataError {
    pub(crate) fn new(file: &Path, message: impl Into<String>) -> DataError {
        DataError { file: file.into(), line: None, column: None, message: message.into(), help: None }
    }

    fn describe(&self) -> String {
        let line = self.line.map(|n| format!(", line {n}")).unwrap_or_default();
        let column = self.column.as_ref().map(|c| format!(", column {c}")).unwrap_or_default();
        let help = self.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        format!("{}{line}{column}: {}{help}", self.file.display(), self.message)
    }
}

impl Table {
    /// A table from columns given in the job file itself. They must be of one length, and finite.
    pub fn inline(source: &str, columns: Vec<(String, Vec<f64>)>) -> Result<Table, DataError> {
        let table = Table { source: source.into(), columns };
        table.check(Path::new(source))?;
        Ok(table)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, values)| values.as_slice())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// One length, no name twice, at least one row, every value finite.
    pub(crate) fn check(&self, file: &Path) -> Result<(), DataError> {
        let rows = self.rows();
        for (i, (name, values)) in self.columns.iter().enumerate() {
            let fault = |message: String, row: Option<usize>, help: Option<&str>| DataError {
                message: row.map_or(message.clone(), |r| format!("row {} of {rows}: {message}", r + 1)),
                column: Some(format!("`{name}`")),
                help: help.map(Into::into),
                ..DataError::new(file, "")
            };
            if self.columns[..i].iter().any(|(other, _)| other == name) {
                return Err(fault("two columns have this name".into(), None, Some("rename one of them")));
            }
            if values.len() != rows {
                return Err(fault(format!("has {} values, the first column has {rows}", values.len()), None, None));
            }
            if let Some(row) = values.iter().position(|v| !v.is_finite()) {
                return Err(fault(format!("the value is {}", values[row]), Some(row), Some(LEAVE_OUT)));
            }
        }
        if rows == 0 {
            return Err(DataError::new(file, "no rows of data"));
        }
        Ok(())
    }
}

pub(crate) const LEAVE_OUT: &str = "missing and non-finite values are not guessed: leave the row out, or fill it in";

/// Reads a table. The file's content and name decide how:
/// * `file.h5`, `file.hdf5` or `file.h5:/group`: its 1-D numeric datasets are the columns;
/// * otherwise text: separated by commas (or semicolons, tabs) if there are any, else by blanks. Lines that
///   start with `#` are comments; the names of the columns are the first line if it is not all numbers, else
///   the last comment before the data if it has as many words as there are columns, else c1, c2, ...
pub fn read_table(path: &Path) -> Result<Table, DataError> {
    let table = match hdf5_file::split(path) {
        Some((file, group)) => hdf5_file::read_table(&file, &group)?,
        None => text::read_table(path)?,
    };
    table.check(path)?;
    Ok(table)
}

/// Reads a square matrix as a table of columns c1, c2, ...: text without a header, or `file.h5:/dataset`
/// (a 2-D dataset; without a name the only one in the file).
pub fn read_matrix(path: &Path) -> Result<Table, DataError> {
    let table = match hdf5_file::split(path) {
        Some((file, dataset)) => hdf5_file::read_matrix(&file, &dataset)?,
        None => text::read_table(path)?,
    };
    table.check(path)?;
    if table.columns.len() != table.rows() {
        let shape = format!("a square matrix is expected, this is {} x {}", table.rows(), table.columns.len());
        return Err(DataError::new(path, shape));
    }
    Ok(table)
}

/// Reads a file whole.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|e| DataError::new(path, format!("cannot be read: {e}")))
}

/// Reads a text file (code, say) whole.
pub fn read_text(path: &Path) -> Result<String, DataError> {
    std::fs::read_to_string(path).map_err(|e| DataError::new(path, format!("cannot be read: {e}")))
}
