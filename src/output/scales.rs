//! HDF5 groups that netCDF readers understand: dimension scales, variables on them, attributes.

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Group, H5Type, Location, Result};
use hdf5_sys::h5::herr_t;
use hdf5_sys::h5i::hid_t;
use std::ffi::{CString, c_char, c_uint};
use std::str::FromStr;

// Of HDF5's high-level library, which hdf5-metno-sys links (feature `hl`) and does not declare.
unsafe extern "C" {
    fn H5DSset_scale(scale: hid_t, dimension_name: *const c_char) -> herr_t;
    fn H5DSattach_scale(dataset: hid_t, scale: hid_t, axis: c_uint) -> herr_t;
}

/// A dimension of the length `n`: a dataset 0, 1, ..., n - 1 of its name, made a dimension scale.
pub fn dimension(group: &Group, name: &str, n: usize) -> Result<Dataset> {
    let values: Vec<i64> = (0..n as i64).collect();
    let dataset = group.new_dataset::<i64>().shape(n).create(name)?;
    dataset.write_raw(&values)?;
    let c_name = CString::new(name).map_err(|e| hdf5::Error::from(e.to_string()))?;
    // SAFETY: the id is that of a live dataset, the name outlives the call, and `sync` holds HDF5's lock.
    let status = hdf5::sync::sync(|| unsafe { H5DSset_scale(dataset.id(), c_name.as_ptr()) });
    succeeded(status, "H5DSset_scale", name)?;
    Ok(dataset)
}

/// A variable over `dimensions`, row-major.
pub fn variable<T: H5Type>(group: &Group, name: &str, data: &[T], dimensions: &[&Dataset]) -> Result<Dataset> {
    let shape: Vec<usize> = dimensions.iter().map(|d| d.size()).collect();
    let dataset = group.new_dataset::<T>().shape(shape).create(name)?;
    dataset.write_raw(data)?;
    for (axis, scale) in dimensions.iter().enumerate() {
        // SAFETY: both ids are those of live datasets, and `sync` holds HDF5's lock.
        let status = hdf5::sync::sync(|| unsafe { H5DSattach_scale(dataset.id(), scale.id(), axis as c_uint) });
        succeeded(status, "H5DSattach_scale", name)?;
    }
    Ok(dataset)
}

pub fn text(at: &Location, name: &str, value: &str) -> Result<()> {
    // HDF5 strings end at the first NUL; a text that holds one (from a user's job) loses it here.
    let value = VarLenUnicode::from_str(&value.replace('\0', "")).map_err(|e| hdf5::Error::from(e.to_string()))?;
    number(at, name, value)
}

pub fn number<T: H5Type>(at: &Location, name: &str, value: T) -> Result<()> {
    at.new_attr::<T>().create(name)?.write_scalar(&value)
}

fn succeeded(status: herr_t, call: &str, name: &str) -> Result<()> {
    if status < 0 { Err(format!("{call} failed for `{name}`").into()) } else { Ok(()) }
}
