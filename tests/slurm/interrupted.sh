#!/bin/bash
# Sourced by check.sh: jobs that Slurm or somebody interrupts, all at once, since each mostly sleeps. Every one must end with
# the digest of the fit that nobody disturbed.
#
# Calls are delayed so that a fit takes half a minute: a time limit of Slurm is at least one minute, and looked at every 30 s.

openmpi=target/openmpi/release/fitjob
mpich=target/mpich/release/fitjob

# The digest of a seed's undisturbed fit, outside Slurm and without delay.
alone() {
  [ -e "$work/seed-$1/summary.json" ] || env -u SLURM_CONF "$openmpi" run tests/small.toml --seed "$1" --out "$work/seed-$1" >/dev/null 2>&1 || return 1
  digest "$work/seed-$1"
}

# submit NAME [VARIABLE=VALUE...] -- SBATCH'S ARGUMENTS [++ FITJOB'S]: leaves its number in $id. The log is that of all tries.
submit() {
  local name=$1 settings=() options=(); shift
  while [ "$1" != -- ]; do settings+=("$1"); shift; done; shift
  while [ $# -gt 0 ] && [ "$1" != ++ ]; do options+=("$1"); shift; done
  [ $# = 0 ] || shift
  id=$(env OUT="$work/$name" "${settings[@]}" sbatch --parsable --output="$work/$name.log" "${options[@]}" jobscripts/fit.slurm tests/small.toml "$@")
}

state() { scontrol show job --oneliner "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p'; }
restarts() { scontrol show job --oneliner "$1" 2>/dev/null | sed -n 's/.* Restarts=\([0-9]*\).*/\1/p'; }
kept() { "$openmpi" summary --json "$1" 2>/dev/null | sed -n 's/.*"calls": *\([0-9]*\).*/\1/p'; }

# until_ SECONDS COMMAND...: waits for it to succeed
until_() {
  local end=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $end ] || { echo "waited in vain for: $*"; return 1; }; sleep 0.5; done
}
over() { case $(state "$1") in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) return 1 ;; esac; }
well_under_way() { [ "$(kept "$1")" -gt "${2:-400}" ] 2>/dev/null; }

# settles NAME STATE: the job $id ends so; else shows its log
settles() {
  if until_ 280 over "$id" && [ "$(state "$id")" = "$2" ]; then return 0; fi
  scontrol show job "$id" | head -8; cat "$work/$1.log"; return 1
}
# finished NAME: well, with the right bits, and not at the first go
finished() {
  settles "$1" COMPLETED || return 1
  [ "$(digest "$work/$1")" = "$(alone 11)" ] && grep -q 'going on after' "$work/$1.log" || { cat "$work/$1.log"; return 1; }
}
# The job must be in the queue again, by itself.
requeued() { [ "$(restarts "$id")" -gt 0 ] || { cat "$work/$1.log"; return 1; }; }
says() { grep -q "$2" "$work/$1.log" || { cat "$work/$1.log"; return 1; }; }
again() { # NAME ...: the same submission once more
  submit "$@" && finished "$1"
}
slow=(--set model.delay.ms=25)

# walltime NAME PROGRAM DELAY END SBATCH'S ARGUMENTS: END is when fitjob believes that Slurm ends the job; empty: it asks.
# A fit takes about 0.9 s for each ms of DELAY.
walltime() {
  local name=$1 program=$2 delay=$3 end=$4; shift 4
  submit "$name" FITJOB="$program" ${end:+SLURM_JOB_END_TIME=$end} -- -n 4 --time=1 "$@" ++ --set model.delay.ms="$delay"
  check "$name: goes on by itself, and ends with the undisturbed digest" finished "$name"
  check "$name: with one number in the queue all the time" requeued "$name"
}
own_deadline() {
  walltime walltime "$openmpi" 100 '' --signal=B:CONT@1
  check "walltime: fitjob stops before Slurm's time limit, which nobody told it by a signal" says walltime 'time limit is near'
}
over_time() {
  walltime over-time "$openmpi" 100 9999999999 --signal=B:CONT@1
  check "over-time: Slurm's TERM at the time limit, which fitjob did not know of" says over-time 'TERM, handed'
}
usr1() {
  walltime usr1 "$mpich" 70 '' --signal=B:USR1@5 # comes up to 30 s earlier
  check "usr1: Slurm's USR1 before the time limit is handed to the ranks" says usr1 'USR1, handed'
}
interrupted() { # NAME KIND VARIABLES... -- COMMAND WITH ID
  local name=$1 program=$2 settings=(FITJOB="$2"); shift 2
  while [ "$1" != -- ]; do settings+=("$1"); shift; done; shift
  submit "$name" "${settings[@]}" -- -n 4 ++ "${slow[@]}"
  check "$name: a job is under way" until_ 100 well_under_way "$work/$name"
  check "$name: is interrupted" "${@//ID/$id}"
}
preempted() { # as interrupted; goes on by itself
  interrupted "$@"
  check "$1: goes on by itself, and ends with the undisturbed digest" finished "$1"
  check "$1: by a requeue" requeued "$1"
}
cancelled() {
  interrupted cancelled "$openmpi" -- scancel ID
  check "cancelled: a job that somebody cancels is not requeued" settles cancelled CANCELLED
  check "cancelled: the same submission goes on from there" again cancelled FITJOB="$mpich" -- -n 3 ++ "${slow[@]}"
}
killed() { # NAME KIND COMMAND
  local name=$1 program=$2; shift 2
  interrupted "$name" "$program" -- "$@"
  check "$name: the job fails" settles "$name" FAILED
  check "$name: the same submission goes on from there" again "$name" FITJOB="$program" -- -n 4 ++ "${slow[@]}"
}
kill_a_rank() {
  local pids; pids=$(scontrol listpids "$1.0" | awk '$4 == 2 { print $1 }')
  [ -n "$pids" ] && kill -KILL "$pids"
}
gives_up() {
  submit idle FITJOB="$openmpi" MAX_TRIES=2 -- -n 2 ++ --set model.delay.ms=1e6 --time-limit 4
  check "idle: a job that gains nothing fails" settles idle FAILED
  check "idle: after two starts" [ "$(restarts "$id")" = 1 ]
  check "idle: and says what to do" says idle 'giving up: 2 starts'
}
array() {
  local task list="$work/list"
  for task in 0 1 2 3 4 5 6 7; do echo "tests/small.toml --seed $((20 + task))"; done >"$list"
  id=$(env OUT="$work/array" FITJOB="$openmpi" sbatch --parsable --output="$work/array-%a.log" --array=0-8 -n 2 jobscripts/array.slurm "@$list" -- --set model.delay.ms=10)
  check "array: one task is under way" until_ 100 well_under_way "$work/array/3-small.run"
  check "array: one is stopped" scancel --signal=TERM "${id}_3"
  for task in 0 1 2 3 4 5 6 7 8; do check "array: task $task ends" until_ 200 over "${id}_$task"; done
  for task in 0 1 2 3 4 5 6 7; do
    check "array: task $task has the digest of its seed" same "$(digest "$work/array/$task-small.run")" "$(alone $((20 + task)))"
  done
  check "array: the one that was stopped has been requeued, and no other" [ "$(restarts "${id}_3")$(restarts "${id}_4")" = 10 ]
  check "array: a task without a job says so" grep -q 'task 8 has no job: there are 8' "$work/array-8.log"
}

scenarios=()
scenario() { # NAME COMMAND...: in the background
  local name=$1; shift
  scenarios+=("$name")
  ("$@") >"$work/$name.checks" 2>&1 &
}
begin_interrupted() {
  check "the undisturbed fit" alone 11
  scenario walltime own_deadline
  scenario over-time over_time
  scenario usr1 usr1
  scenario idle gives_up
  scenario requeue preempted requeue "$mpich" -- scontrol requeue ID
  scenario term preempted term "$openmpi" -- scancel --signal=TERM ID
  scenario cancelled cancelled
  scenario killed killed killed "$openmpi" scancel --signal=KILL ID.0
  scenario rank-lost killed rank-lost "$mpich" kill_a_rank ID
  scenario mpiexec preempted mpiexec "$mpich" LAUNCH=mpiexec MPIEXEC=mpiexec.mpich -- scancel --batch --signal=USR1 ID
  scenario array array
  [ "$1" != long ] || begin_long
}
# The remaining crossings of library, launcher and interruption.
begin_long() {
  scenario walltime-mpich walltime walltime-mpich "$mpich" 100 '' --signal=B:CONT@1
  scenario usr1-openmpi walltime usr1-openmpi "$openmpi" 70 '' --signal=B:USR1@5
  scenario killed-mpich killed killed-mpich "$mpich" scancel --signal=KILL ID.0
  scenario rank-lost-openmpi killed rank-lost-openmpi "$openmpi" kill_a_rank ID
  scenario mpiexec-openmpi preempted mpiexec-openmpi "$openmpi" LAUNCH=mpiexec MPIEXEC=mpiexec.openmpi -- scancel --batch --signal=USR1 ID
  scenario requeue-openmpi preempted requeue-openmpi "$openmpi" -- scontrol requeue ID
  scenario term-mpich preempted term-mpich "$mpich" -- scancel --signal=TERM ID
}
end_interrupted() {
  local name
  wait
  for name in "${scenarios[@]}"; do
    cat "$work/$name.checks"
    checks_failed=$((checks_failed + $(grep -c '^not ok' "$work/$name.checks")))
  done
}
