//! The built-in job as a user calls it under mpiexec.

use crate::common::fitjob_on;
use crate::common::lynx_hare::agrees_with_the_reference;

#[cfg(feature = "mpi")]
#[test]
fn the_bare_command_under_mpiexec_fits_lynx_and_hare() {
    let folder = tempfile::tempdir().unwrap();
    agrees_with_the_reference(fitjob_on(2), folder.path());
}
