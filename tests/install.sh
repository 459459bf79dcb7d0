#!/bin/bash
# scripts/install-deps and scripts/site.sh on machines of several kinds, each made of a PATH. Prints "ok - ..." and "not ok - ..." lines.
set -u
cd "$(dirname "$0")/.." || exit 2
. tests/checks.sh
work=$(mktemp -d); trap 'rm -rf "$work"; rm -rf target/hdf5-h5pcc' EXIT

# A machine with nothing but the tools any Unix has: no compiler, no MPI, no apt-get, no sudo.
mkdir "$work/bare" "$work/module"
for tool in bash sh sed grep awk sort head tail tr cat dirname basename uname ls id mktemp rm mkdir ln printf env ldd nproc; do
  ln -s "$(command -v $tool)" "$work/bare/$tool" 2>/dev/null
done

says() { # EXIT-CODE WORDS... -- COMMAND...: ends with the code and prints each of the words
  local wanted=$1 words=() code word; shift
  while [ "$1" != -- ]; do words+=("$1"); shift; done; shift
  "$@" >"$work/said" 2>&1; code=$?
  cat "$work/said"
  [ "$code" = "$wanted" ] || { echo "exit code $code, not $wanted"; return 1; }
  for word in "${words[@]}"; do grep -qF -- "$word" "$work/said" || { echo "does not say: $word"; return 1; }; done
}
site() { # what site.sh chooses, in words
  # shellcheck disable=SC2016  # for the inner shell
  env -u MPICC -u HDF5_DIR "$@" bash -c '. scripts/site.sh; echo "$KIND $HDF5_PARALLEL $(basename "$CARGO_TARGET_DIR") $HDF5_DIR [$FEATURES]"'
}
silent_on() { local word=$1; shift; "$@" >"$work/said" 2>&1; cat "$work/said"; ! grep -qiE -- "$word" "$work/said"; }
bare=(env -i HOME="$work" PATH="$work/bare" SITE_LIB=/nowhere)

check "without root rights it names modules, packages and rustup, and fails" \
  says 2 "module load" "apt-get install" "libopenmpi-dev" "libhdf5-openmpi-dev" "dnf install" "rustup" -- "${bare[@]}" bash scripts/install-deps
check "asked for MPICH it names MPICH's packages" says 2 "libmpich-dev" "libhdf5-mpich-dev" -- "${bare[@]}" MPI=mpich bash scripts/install-deps
check "asked for no MPI it names no MPI" silent_on 'openmpi|mpich|libclang-dev' "${bare[@]}" MPI=none bash scripts/install-deps
check "an unknown MPI is refused" says 2 "openmpi, mpich, none" -- "${bare[@]}" MPI=lam bash scripts/install-deps
check "where all is there it says nothing" says 0 -- bash scripts/install-deps

# Modules of a cluster: a parallel HDF5 whose headers and libraries are apart, told by h5pcc alone.
lib=/usr/lib/$(uname -m)-linux-gnu/hdf5
cat >"$work/module/h5pcc" <<E2
#!/bin/sh
case \$1 in -showconfig) echo "   Installation point:  /nowhere" ;; -show) echo "mpicc -I/usr/include/hdf5/mpich -L$lib/mpich -lhdf5" ;; esac
E2
mkdir "$work/broken"; printf '#!/bin/sh\nexit 1\n' >"$work/broken/h5pcc"
chmod +x "$work/module/h5pcc" "$work/broken/h5pcc"
check "Debian's Open MPI comes with its HDF5" says 0 "openmpi yes openmpi $lib/openmpi []" -- site MPI=openmpi
check "an HDF5 of another MPI is not taken, a serial one is" says 0 "openmpi no openmpi $lib/serial [--no-default-features --features mpi,ode]" -- \
  site MPI=openmpi SITE_LIB=/nowhere HDF5_DIR="$lib/mpich" HDF5_ROOT="$lib/serial" PATH="$work/broken:$PATH"
check "headers and libraries that are apart are found through h5pcc" says 0 "mpich yes mpich $PWD/target/hdf5-h5pcc []" -- \
  site MPI=mpich SITE_LIB=/nowhere PATH="$work/module:$PATH"
mkdir "$work/clang"; touch "$work/clang/libclang-cpp.so.14"
# shellcheck disable=SC2016  # for the inner shell
check "libclang-cpp is not taken for libclang" silent_on "$work/clang" env LIBCLANG_PATH="$work/clang" bash -c '. scripts/site.sh; find_libclang'
check "threads only takes the serial HDF5" says 0 "none no serial $lib/serial [--no-default-features --features ode]" -- site MPI=none
finish
