//! Tables and matrices in HDF5 files.

use super::{DataError, Table};
use std::path::{Path, PathBuf};

/// `dir/file.h5:/group` as file and group; None if the path does not look like HDF5.
pub(super) fn split(path: &Path) -> Option<(PathBuf, String)> {
    let text = path.to_str()?;
    let is_hdf5 = |file: &str| [".h5", ".hdf5", ".hdf", ".nc"].iter().any(|end| file.to_ascii_lowercase().ends_with(end));
    if is_hdf5(text) {
        return Some((path.into(), "/".into()));
    }
    let (file, inside) = text.rsplit_once(':')?;
    is_hdf5(file).then(|| (file.into(), inside.to_string()))
}

fn open(file: &Path) -> Result<hdf5::File, DataError> {
    if !file.exists() {
        return Err(DataError::new(file, "no such file"));
    }
    hdf5::File::open(file).map_err(|e| DataError::new(file, format!("cannot be opened as HDF5: {e}")))
}

/// Every 1-D numeric dataset of the group is a column.
pub(super) fn read_table(file: &Path, group: &str) -> Result<Table, DataError> {
    let opened = open(file)?;
    let fault = |message: String| DataError { help: contents(&opened), ..DataError::new(file, message) };
    let group_name = if group.is_empty() { "/" } else { group };
    let group = opened.group(group_name).map_err(|_| fault(format!("has no group `{group_name}`")))?;
    let mut columns = Vec::new();
    for dataset in group.datasets().map_err(|e| fault(e.to_string()))? {
        let path = dataset.name();
        let name = path.rsplit('/').next().unwrap_or(&path).to_string();
        if dataset.ndim() == 1 && is_number(&dataset) {
            let values = dataset.read_raw::<f64>().map_err(|e| fault(format!("dataset `{path}` cannot be read: {e}")))?;
            columns.push((name, values));
        }
    }
    if columns.is_empty() {
        return Err(fault(format!("group `{group_name}` has no 1-D datasets of numbers")));
    }
    Ok(Table { source: file.display().to_string(), columns })
}

/// The 2-D dataset of that name as columns c1, c2, ...; for "/" the only 2-D dataset of the file's root.
pub(super) fn read_matrix(file: &Path, name: &str) -> Result<Table, DataError> {
    let opened = open(file)?;
    let fault = |message: String| DataError { help: contents(&opened), ..DataError::new(file, message) };
    let dataset = if name.is_empty() || name == "/" {
        let all = opened.datasets().map_err(|e| fault(e.to_string()))?;
        let mut matrices: Vec<_> = all.into_iter().filter(|d| d.ndim() == 2 && is_number(d)).collect();
        match matrices.len() {
            1 => matrices.remove(0),
            n => return Err(fault(format!("has {n} 2-D datasets: name one, as in `file.h5:/covariance`"))),
        }
    } else {
        opened.dataset(name).map_err(|_| fault(format!("has no dataset `{name}`")))?
    };
    let shape = dataset.shape();
    let [rows, width] = shape[..] else {
        return Err(fault(format!("dataset `{}` has {} dimensions, a matrix has 2", dataset.name(), shape.len())));
    };
    let values = dataset.read_raw::<f64>().map_err(|e| fault(format!("dataset `{}` cannot be read: {e}", dataset.name())))?;
    let column = |j: usize| (format!("c{}", j + 1), (0..rows).map(|i| values[i * width + j]).collect());
    Ok(Table { source: file.display().to_string(), columns: (0..width).map(column).collect() })
}

fn is_number(dataset: &hdf5::Dataset) -> bool {
    use hdf5::types::TypeDescriptor::{Float, Integer, Unsigned};
    let kind = dataset.dtype().and_then(|t| t.to_descriptor());
    matches!(kind, Ok(Float(_) | Integer(_) | Unsigned(_)))
}

fn contents(file: &hdf5::File) -> Option<String> {
    let names = file.member_names().ok()?;
    Some(format!("its root holds: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::data::{read_matrix, read_table};

    #[test]
    fn tables_and_matrices_are_read_from_groups_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.h5");
        {
            let file = hdf5::File::create(&path).unwrap();
            let group = file.create_group("runs/first").unwrap();
            group.new_dataset_builder().with_data(&[1.0f32, 2.5]).create("x").unwrap();
            group.new_dataset_builder().with_data(&[3i32, 4]).create("n").unwrap();
            group.new_dataset_builder().with_data(&ndarray::arr2(&[[2.0, 0.5], [0.5, 1.0]])).create("c").unwrap();
            file.new_dataset_builder().with_data(&[1.0, f64::NAN]).create("y").unwrap();
        }
        let inside = |tail: &str| std::path::PathBuf::from(format!("{}{tail}", path.display()));
        let table = read_table(&inside(":/runs/first")).unwrap();
        assert_eq!(table.column("x").unwrap(), [1.0, 2.5]);
        assert_eq!(table.column("n").unwrap(), [3.0, 4.0]);
        let matrix = read_matrix(&inside(":/runs/first/c")).unwrap();
        assert_eq!(matrix.columns[1].1, [0.5, 1.0]);
        assert!(read_table(&inside("")).unwrap_err().to_string().contains("row 2 of 2: the value is NaN"));
        assert!(read_table(&inside(":/nothing")).unwrap_err().to_string().contains("no group `/nothing`"));
        assert!(read_matrix(&inside("")).unwrap_err().to_string().contains("0 2-D datasets"));
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_and_not_a_panic() {
        for name in ["nowhere.h5", "nowhere.h5:/g", "nowhere.csv"] {
            assert!(read_table(std::path::Path::new(name)).is_err());
        }
    }
}
