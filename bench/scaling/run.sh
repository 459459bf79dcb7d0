#!/bin/bash
# The same job at several rank counts: wall time, speed-up, efficiency, and whether the answers are the same bits.
#
#   RANKS="1 2 4 8 16" bench/scaling/run.sh [JOB.toml]       (make scaling RANKS="..." JOB=...)
#     MPI=openmpi|mpich as in scripts/site.sh      OUT=bench/scaling/out      ARGS="--set key=value ..." for fitjob
#     START="srun -K --mpi=pmix -n"                how to start N ranks (default: mpiexec -n)
#
# Writes OUT/scaling.{tsv,md,svg} and the run directories OUT/ranks-N. Fails if two digests differ.
set -eu
cd "$(dirname "$0")/../.."
. scripts/site.sh
job=${1:-bench/scaling/gauss3tut.toml}
out=${OUT:-bench/scaling/out}
read -ra counts <<<"${RANKS:-1 2 4 8 16}"
read -ra start <<<"${START:-$MPIEXEC -n}"
read -ra more <<<"${ARGS:-}"
program=$CARGO_TARGET_DIR/release/fitjob
[ "$KIND" != none ] || { echo "bench/scaling: needs MPI; for threads use fitjob --ncores" >&2; exit 2; }
[ -x "$program" ] || { echo "bench/scaling: no $program: make build" >&2; exit 2; }

# Ranks that sleep may share a core: more of them than cores is the point of the default job.
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

field() { sed -n 's/^ *"'"$1"'": *"\{0,1\}\([^",]*\)"\{0,1\},\{0,1\} *$/\1/p' "$2" | head -1; }
delay_ms() { awk '/^\[/ { inside = /model.delay/ } inside && $1 == "ms" { print $3; exit }' "$1"; }

mkdir -p "$out"
printf 'ranks\tthreads\tn_like\twall_s\tsampler_s\tbusy_fraction\tdigest\n' >"$out/runs.tsv"
for ranks in "${counts[@]}"; do
  run=$out/ranks-$ranks
  echo "== $ranks ranks: ${start[*]} $ranks $program run $job --out $run --force ${more[*]}"
  "${start[@]}" "$ranks" "$program" run "$job" --out "$run" --force "${more[@]}" </dev/null >"$run.log" 2>&1 ||
    { tail -20 "$run.log" >&2; echo "bench/scaling: the run on $ranks ranks failed (all of it: $run.log)" >&2; exit 1; }
  for name in ranks threads n_like wall_s sampler_s busy_fraction digest; do field $name "$run/summary.json"; done |
    paste -s -d '\t' >>"$out/runs.tsv"
  tail -1 "$out/runs.tsv"
done

awk -v delay="$(delay_ms "$out/ranks-${counts[0]}/job.toml")" -f bench/scaling/table.awk "$out/runs.tsv" >"$out/scaling.tsv"
{ echo "Job: \`$job\`; $("$MPIEXEC" --version 2>&1 | grep -m1 -iE 'open mpi|openrte|version'); $(nproc) cores; $(date -u +%Y-%m-%d)"; echo
  awk -F '\t' '{ printf "|"; for (i = 1; i <= NF; i++) printf " %s |", $i; print "" }
    NR == 1 { printf "|"; for (i = 1; i <= NF; i++) printf "---:|"; print "" }' "$out/scaling.tsv"; } >"$out/scaling.md"
awk -v title="$(basename "$job" .toml), $KIND" -f bench/scaling/plot.awk "$out/scaling.tsv" >"$out/scaling.svg"
cat "$out/scaling.md"
echo "written: $out/scaling.{tsv,md,svg}"

if [ "$(cut -f 7 "$out/runs.tsv" | tail -n +2 | sort -u | wc -l)" != 1 ]; then
  echo "bench/scaling: the digests differ: the answer depends on the number of ranks, which must never be" >&2; exit 1
fi
echo "one digest at ${#counts[@]} rank counts"
