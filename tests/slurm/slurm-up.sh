#!/bin/bash
# A real Slurm of one node on this machine, without systemd, cgroups or a database; touches no system files.
#
#   tests/slurm/slurm-up.sh up DIR     starts munged, slurmctld and slurmd with all their files in DIR, waits until the node
#                                      is idle; then: export SLURM_CONF=DIR/slurm.conf
#   tests/slurm/slurm-up.sh down DIR   stops them
#
#   CPUS=8    cores the node claims to have (more than there are is fine)      PORT=17302   the first of two free ports
# Needs: slurmctld slurmd slurm-client munge, and libpmi2-0 for MPICH. DIR's path must be short: sockets live in it.
set -u
action=${1:-}; dir=${2:-}
[ -n "$dir" ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
CPUS=${CPUS:-8} PORT=${PORT:-17302}
mkdir -p "$dir" && dir=$(cd "$dir" && pwd)
PATH=$PATH:/usr/sbin:/sbin

stop() { # the process of a pid file
  local pid
  [ -s "$1" ] && pid=$(cat "$1") || return 0
  kill "$pid" 2>/dev/null
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || { rm -f "$1"; return 0; }; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null; rm -f "$1"
}
down() { stop "$dir/slurmd.pid"; stop "$dir/slurmctld.pid"; stop "$dir/munged.pid"; }

# The whole configuration. linuxproc and task/none: no cgroups. A child of ours dies with KillWait, jobs stay
# listed (MinJobAge) so that their exit codes can be asked for. A requeued job waits for as long as its old
# credential is good (cred_expire): 10 s in place of 120.
configure() {
  local me host
  me=$(id -un); host=$(hostname -s)
  cat >"$dir/slurm.conf" <<CONF
ClusterName=fitjobtest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=10
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=3600
PropagateResourceLimitsExcept=MEMLOCK
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + 1)) CPUs=$CPUS Sockets=1 CoresPerSocket=$CPUS ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=one Default=YES MaxTime=INFINITE State=UP
CONF
  echo "CgroupAutomount=no" >"$dir/cgroup.conf"
  echo "PMIxCliTmpDirBase=$dir/pmix" >"$dir/mpi.conf"
}

up() {
  local program
  for program in munged slurmctld slurmd sinfo; do
    command -v $program >/dev/null || { echo "slurm-up: $program is missing: apt-get install slurmctld slurmd slurm-client munge libpmi2-0" >&2; exit 1; }
  done
  down # of an earlier, unfinished run in the same folder
  mkdir -p "$dir/state" "$dir/spool" "$dir/pmix"; chmod 755 "$dir"
  configure
  # --force: munged otherwise refuses to run as root, or below a folder that others may write to (/tmp)
  head -c 1024 /dev/urandom >"$dir/munge.key"; chmod 600 "$dir/munge.key"
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" 2>/dev/null || { echo "slurm-up: munged does not start" >&2; tail -3 "$dir/munged.log" >&2; exit 1; }
  export SLURM_CONF=$dir/slurm.conf
  slurmctld -f "$SLURM_CONF" && slurmd -N one -f "$SLURM_CONF" || exit 1
  for _ in $(seq 150); do
    [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && return 0 # not "idle*", which has not answered yet
    sleep 0.2
  done
  echo "slurm-up: the node did not come up" >&2; tail -20 "$dir/slurmctld.log" "$dir/slurmd.log" >&2; down; exit 1
}

case $action in up) up ;; down) down ;; *) echo "slurm-up: up or down, not '$action'" >&2; exit 2 ;; esac
