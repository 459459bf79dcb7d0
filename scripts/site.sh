#!/bin/bash
# What this machine offers to a build: sourced by the other scripts, prints nothing.
#
#   in    MPI=auto|openmpi|mpich|none   MPICC, HDF5_DIR and LIBCLANG_PATH where you know better
#   out   KIND      openmpi | mpich | none     (Intel MPI, Cray MPI and MVAPICH are of MPICH's family)
#         MPICC     the MPI compiler wrapper   MPIEXEC   the mpiexec that belongs to it
#         HDF5_DIR  a folder with include/ and lib/, or empty      HDF5_PARALLEL  yes | no
#         FEATURES  cargo's arguments          CARGO_TARGET_DIR    target/openmpi | mpich | serial
#
# One target folder for each MPI, since mpi-sys does not notice that MPICC has changed.

SITE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SITE_LIB=${SITE_LIB:-/usr/lib/$(uname -m)-linux-gnu} # where Debian keeps libraries
case ":$PATH:" in *":$HOME/.cargo/bin:"*) ;; *) PATH=$PATH:$HOME/.cargo/bin ;; esac

# The family of an MPI compiler wrapper; fails if it cannot be run.
mpi_kind() {
  command -v "$1" >/dev/null || return 1
  if "$1" --showme:version 2>/dev/null | grep -q 'Open MPI'; then echo openmpi
  elif "$1" -show >/dev/null 2>&1; then echo mpich
  else return 1; fi
}

# The wrapper to build with, for MPI=$1: what $MPICC or the PATH (a loaded module) says, then Debian's names.
find_mpicc() {
  local cc kind
  for cc in ${MPICC:-} mpicc mpicc.openmpi mpicc.mpich mpiicx mpiicc; do
    kind=$(mpi_kind "$cc") || continue
    if [ "$1" = auto ] || [ "$1" = "$kind" ]; then echo "$cc"; return 0; fi
  done
  return 1
}

# The mpiexec beside a wrapper: mpicc.mpich -> mpiexec.mpich, /opt/x/bin/mpicc -> /opt/x/bin/mpiexec.
find_mpiexec() {
  local dir suffix name
  dir=$(dirname "$(command -v "$1")"); suffix=$(basename "$1"); suffix=${suffix#mpicc}
  for name in "$dir/mpiexec$suffix" "$dir/mpiexec.$KIND" "$dir/mpiexec" "$dir/mpirun$suffix" mpiexec mpirun; do
    case "$name" in *mpiicc* | *mpiicx*) continue ;; esac
    if command -v "$name" >/dev/null; then command -v "$name"; return 0; fi
  done
  return 1
}

hdf5_here() { compgen -G "$1/include/H5pubconf*.h" >/dev/null; }
hdf5_parallel() { cat "$1"/include/H5pubconf*.h 2>/dev/null | grep -q '^#define H5_HAVE_PARALLEL 1'; }

# Which family of MPI a parallel HDF5 was linked with: Open MPI's library is libmpi.so.40 (20 in version 2),
# MPICH's and its kin's have the ABI number 12 in all their names.
hdf5_mpi() {
  local lib
  lib=$(ldd "$1"/lib/libhdf5.so 2>/dev/null || ldd "$1"/lib64/libhdf5.so 2>/dev/null) || return 0
  case "$lib" in *libmpi.so.[24]0*) echo openmpi ;; *libmp*.so.12*) echo mpich ;; esac
}

# Where headers and libraries do not share a folder (RHEL, Fedora), one of links to both: from `h5pcc -show`.
hdf5_links() {
  local words inc lib dir
  words=$("$1" -show 2>/dev/null) || return 1
  inc=$(sed -n 's/.* -I\([^ ]*\).*/\1/p' <<<" $words"); lib=$(sed -n 's/.* -L\([^ ]*\).*/\1/p' <<<" $words")
  [ -n "$lib" ] || return 1
  for inc in $inc /usr/include; do
    compgen -G "$inc/H5pubconf*.h" >/dev/null || continue
    dir=$SITE_ROOT/target/hdf5-$(basename "$1")
    mkdir -p "$dir" && ln -sfn "$inc" "$dir/include" && ln -sfn "$lib" "$dir/lib" && echo "$dir"
    return
  done
  return 1
}

# Folders that may hold an HDF5, best first: what a module set, what the compiler wrappers say, Debian's.
hdf5_candidates() {
  local wrapper
  printf '%s\n' "${HDF5_DIR:-}" "${HDF5_ROOT:-}" "${HDF5_HOME:-}" "${HDF5_BASE:-}" "${EBROOTHDF5:-}" "${HDF5_PREFIX:-}"
  for wrapper in "h5pcc.$KIND" h5pcc h5cc; do
    command -v "$wrapper" >/dev/null && "$wrapper" -showconfig 2>/dev/null | sed -n 's/^ *Installation point: *//p'
  done
  printf '%s\n' "$SITE_LIB/hdf5/$KIND" "$SITE_LIB/hdf5/serial" "$SITE_LIB/hdf5/openmpi" "$SITE_LIB/hdf5/mpich"
  for wrapper in h5pcc h5cc; do command -v "$wrapper" >/dev/null && hdf5_links "$wrapper"; done
}

# A parallel HDF5 of our own MPI's family, else a serial one. A parallel one of another family would be loaded
# beside our MPI and take calls meant for it, so it is never chosen with MPI; without MPI it will do, if there is no other.
find_hdf5() {
  local dir serial='' foreign=''
  while read -r dir; do
    if [ -z "$dir" ] || ! hdf5_here "$dir"; then continue; fi
    if ! hdf5_parallel "$dir"; then serial=${serial:-$dir}
    elif [ "$KIND" = none ]; then foreign=${foreign:-$dir}
    else case $(hdf5_mpi "$dir") in "$KIND" | '') echo "$dir"; return 0 ;; esac; fi
  done < <(hdf5_candidates)
  dir=${serial:-$foreign}
  [ -n "$dir" ] && echo "$dir"
}

# The libclang that bindgen loads to read mpi.h; fails if there is none. (libclang-cpp.so.14 is another library.)
find_libclang() {
  local dir loaded=${LD_LIBRARY_PATH:-}
  for dir in "${LIBCLANG_PATH:-}" "$(llvm-config --libdir 2>/dev/null)" ${loaded//:/ } \
    /usr/lib/llvm-*/lib "$SITE_LIB" /usr/lib64 /usr/lib64/llvm*/lib /usr/lib /usr/local/lib; do
    if [ -n "$dir" ] && { compgen -G "$dir/libclang.so*" || compgen -G "$dir/libclang-[0-9]*so*"; } >/dev/null; then echo "$dir"; return 0; fi
  done
  return 1
}

site_choose() {
  local want=${MPI:-auto}
  case "$want" in auto | openmpi | mpich | none) ;; *)
    echo "site.sh: MPI=$want is not known: one of auto, openmpi, mpich, none" >&2; return 1 ;;
  esac
  KIND=none MPIEXEC='' HDF5_PARALLEL=no
  if [ "$want" != none ] && MPICC=$(find_mpicc "$want"); then
    KIND=$(mpi_kind "$MPICC"); MPIEXEC=$(find_mpiexec "$MPICC") || MPIEXEC=''
    export MPICC
  elif [ "$want" != none ] && [ "$want" != auto ]; then KIND=missing; fi
  HDF5_DIR=$(find_hdf5)
  if [ -n "$HDF5_DIR" ]; then export HDF5_DIR; hdf5_parallel "$HDF5_DIR" && HDF5_PARALLEL=yes; fi
  # clang's own headers (stddef.h) may be absent where only its library is installed: gcc's will do.
  local clang
  if clang=$(find_libclang) && ! compgen -G "$clang/clang/*/include/stddef.h" >/dev/null \
    && ! compgen -G "/usr/lib/clang/*/include/stddef.h" >/dev/null && command -v gcc >/dev/null; then
    export BINDGEN_EXTRA_CLANG_ARGS=${BINDGEN_EXTRA_CLANG_ARGS:--I$(gcc -print-file-name=include)}
  fi
  case "$KIND-$HDF5_PARALLEL" in
    none-*) FEATURES='--no-default-features --features ode' ;;
    *-yes) FEATURES='' ;;
    *) FEATURES='--no-default-features --features mpi,ode' ;;
  esac
  local folder=$KIND
  [ "$KIND" = none ] && folder=serial
  export FITJOB_MPIEXEC=$MPIEXEC # for the integration tests
  export KIND MPIEXEC HDF5_PARALLEL FEATURES CARGO_TARGET_DIR=$SITE_ROOT/target/$folder
}

site_choose
