#!/bin/bash
# The job scripts on a real one-node Slurm, for the Open MPI and the MPICH program. Prints "ok - ..." and "not ok - ..." lines.
#
#   tests/slurm/check.sh [long]      needs target/{openmpi,mpich}/release/fitjob
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/checks.sh
work=$(mktemp -d)
export PORT=$((20000 + $$ % 10000 * 2)) CPUS=64
trap 'tests/slurm/slurm-up.sh down "$work/slurm"; rm -rf "$work"' EXIT
# What an mpiexec inside a batch job may need on a small machine; srun needs none of it.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

# sbatch --wait ends with the job's exit code; its log goes to our own output, for `check` to show on failure.
batch() { # NAME [VARIABLE=VALUE...] -- SBATCH'S AND FITJOB'S ARGUMENTS
  local name=$1 code; shift
  local settings=()
  while [ "$1" != -- ]; do settings+=("$1"); shift; done; shift
  env "${settings[@]}" OUT="$work/$name" sbatch --wait --output="$work/$name.log" "$@"
  code=$?
  cat "$work/$name.log"
  return $code
}
refused() { # NAME ...: as batch, must fail, say what is wrong, and write nothing
  if batch "$@"; then echo "was not refused"; return 1; fi
  [ ! -e "$work/$1" ] && grep -qi 'mpi' "$work/$1.log"
}
# scaffolded PROGRAM: what `fitjob init` writes is fit for sbatch as it is
scaffolded() {
  "$1" init --c "$work/new" && make -C "$work/new" && (cd "$work/new" && { sbatch --wait fit.slurm; code=$?; cat fit-*.log; [ $code = 0 ] && ls fit-*.run/result.h5; })
}
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
job=(jobscripts/fit.slurm tests/small.toml)

check "a one-node Slurm comes up" tests/slurm/slurm-up.sh up "$work/slurm"
[ "$checks_failed" = 0 ] || finish
export SLURM_CONF=$work/slurm/slurm.conf

. tests/slurm/interrupted.sh # takes the time that Slurm's clock takes, mostly asleep, beside what follows
begin_interrupted "${1:-}"

check "the same fit outside Slurm, on one process" env -u SLURM_CONF target/openmpi/release/fitjob run tests/small.toml --out "$work/alone"
wanted=$(digest "$work/alone")
for kind in openmpi mpich; do
  program=target/$kind/release/fitjob
  check "$kind: sbatch jobscripts/fit.slurm runs on 4 ranks by srun" batch $kind-srun FITJOB=$program -- -n 4 "${job[@]}"
  check "$kind: and gives the same bits" same "$(digest "$work/$kind-srun")" "$wanted"
  check "$kind: 2 ranks x 2 threads (-n 2 -c 2)" batch $kind-hybrid FITJOB=$program -- -n 2 -c 2 "${job[@]}"
  check "$kind: and gives the same bits" same "$(digest "$work/$kind-hybrid")" "$wanted"
  check "$kind: the job script with LAUNCH=mpiexec" batch $kind-mpiexec FITJOB=$program LAUNCH=mpiexec MPIEXEC=mpiexec.$kind -- -n 2 "${job[@]}"
  check "$kind: and gives the same bits" same "$(digest "$work/$kind-mpiexec")" "$wanted"
  [ $kind = openmpi ] && other=pmi2 || other=pmix
  for wrong in $other none; do
    check "$kind: srun --mpi=$wrong is refused before a file is written" refused $kind-$wrong FITJOB=$program MPI_TYPE=$wrong -- -n 2 "${job[@]}"
  done
done
check "a job that fitjob init wrote runs by sbatch as it is" scaffolded "$PWD/target/openmpi/release/fitjob"
check "threads only: one task with 2 cores" batch threads FITJOB=target/serial/release/fitjob -- -n 1 -c 2 "${job[@]}"
check "threads only: and gives the same bits" same "$(digest "$work/threads")" "$wanted"
end_interrupted
finish
