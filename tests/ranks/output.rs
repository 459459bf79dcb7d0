//! The result file of a run on ranks.

use crate::common::fitjob_on;
use crate::common::results::{fitted, python_reads};

#[cfg(feature = "mpio")]
#[test]
fn under_mpi_the_root_alone_writes_through_the_mpi_io_driver() {
    let place = tempfile::tempdir().unwrap();
    let dir = fitted(fitjob_on(2), place.path());
    let file = hdf5::File::open(dir.join("result.h5")).unwrap();
    let driver: hdf5::types::VarLenUnicode = file.attr("hdf5_driver").unwrap().read_scalar().unwrap();
    assert_eq!(driver.as_str(), "mpio");
    let Some(seen) = python_reads(&dir.join("result.h5")) else { return };
    assert_eq!(seen["arviz"]["names"], serde_json::json!(["x1", "x2", "x3"]));
    assert!((seen["netcdf4"]["weight_sum"].as_f64().unwrap() - 1.0).abs() < 1e-9);
}
