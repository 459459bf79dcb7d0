#!/bin/bash
# The programs built for Open MPI, for MPICH and for threads only give the same bits; each is linked with its own
# libraries only; the wrong mpiexec is refused. Prints "ok - ..." and "not ok - ..." lines.
set -u
cd "$(dirname "$0")/.." || exit 2
. tests/checks.sh
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export OMPI_MCA_rmaps_base_oversubscribe=1
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

links_only() { # PROGRAM PATTERN FORBIDDEN: what it loads
  local libraries; libraries=$(ldd "$1") || return 1
  grep -qE "$2" <<<"$libraries" && ! grep -qE "$3" <<<"$libraries"
}
one_and_same() { [ -n "$1" ] && printf '%s\n' "$@" | sort -u | wc -l | grep -qx 1; }
refused() { # OUTPUT-FOLDER COMMAND...: ends non-zero, says why, writes nothing
  local out=$1; shift
  if "$@" run tests/small.toml --out "$out" >"$work/refused.log" 2>&1; then cat "$work/refused.log"; return 1; fi
  [ ! -e "$out" ] && grep -qi 'mpi' "$work/refused.log" || { cat "$work/refused.log"; return 1; }
}

check "the Open MPI program is linked with Open MPI and its HDF5 only" links_only target/openmpi/release/fitjob 'libhdf5_openmpi|libhdf5\.so' 'mpich|libhdf5_serial'
check "the MPICH program is linked with MPICH and its HDF5 only" links_only target/mpich/release/fitjob 'libhdf5_mpich|libhdf5\.so' 'openmpi|libhdf5_serial|libmpi\.so\.40'
check "the threads-only program is linked with no MPI" links_only target/serial/release/fitjob 'libhdf5' 'libmpi'

digests=()
fit() { # NAME COMMAND...: runs the small job, keeps its digest
  local name=$1; shift
  check "runs: $name" "$@" run tests/small.toml --out "$work/$name"
  digests+=("$(digest "$work/$name")")
}
fit threads-1 target/serial/release/fitjob
fit threads-2 env target/serial/release/fitjob
fit openmpi-2 mpiexec.openmpi -n 2 target/openmpi/release/fitjob
fit mpich-3 mpiexec.mpich -n 3 target/mpich/release/fitjob
check "the same bits from all builds: ${digests[*]}" one_and_same "${digests[@]}"
check "an Open MPI program under MPICH's mpiexec is refused" refused "$work/crossed-1" mpiexec.mpich -n 2 target/openmpi/release/fitjob
check "an MPICH program under Open MPI's mpiexec is refused" refused "$work/crossed-2" mpiexec.openmpi -n 2 target/mpich/release/fitjob
check "a program without MPI under an mpiexec is refused" refused "$work/crossed-3" mpiexec.openmpi -n 2 target/serial/release/fitjob
finish
