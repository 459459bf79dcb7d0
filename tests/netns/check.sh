#!/bin/bash
# A network that is cut in the middle of a run, for real: two "hosts" (network namespaces), two ranks on each.
# Prints "ok - ..." and "not ok - ..." lines, and nothing but a reason where namespaces may not be made.
#
#   tests/netns/check.sh [openmpi] [mpich]      needs target/{openmpi,mpich}/release/fitjob
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/checks.sh
tests/netns/hosts.sh possible || { echo "skipped: network namespaces need root rights (ip netns add)"; exit 0; }
# The bridge too is in a namespace of its own: UCX in ranks of other tests would try it, and fail when it goes.
[ -n "${APART:-}" ] || APART=yes exec unshare --net "$0" "$@"
ip link set lo up
work=$(mktemp -d)
export NET=$(($$ % 230 + 10))
trap 'tests/netns/hosts.sh down 2; rm -rf "$work"' EXIT
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
lan=198.18.$NET silence=5
bound=$((silence + 15)) # as documented

cat >"$work/slow.toml" <<END
seed = 1
[model]
kind = "problem"
name = "gauss3tut"
[model.delay]
ms = \${MS}
[sampler]
n_live = 300
n_eff = \${N_EFF}
[run]
silence_limit_s = $silence
END

# launch KIND NAME MS N_EFF [mpiexec's arguments]: becomes mpiexec of 4 ranks on the 2 hosts
launch() {
  local kind=$1 name=$2 ms=$3 n_eff=$4; shift 4
  sed "s/\${N_EFF}/$n_eff/; s/\${MS}/$ms/" "$work/slow.toml" >"$work/$name.toml"
  printf 'fj%s-1:2\nfj%s-2:2\n' "$NET" "$NET" >"$work/hosts"
  local openmpi=(mpiexec.openmpi --mca plm rsh --mca plm_rsh_agent "$PWD/tests/netns/rsh.sh" --mca pml ob1 --mca btl tcp,self
    --mca btl_tcp_if_include "$lan.0/24" --mca oob_tcp_if_include "$lan.0/24" --host "fj$NET-1:2,fj$NET-2:2")
  local mpich=(mpiexec.mpich -launcher rsh -launcher-exec "$PWD/tests/netns/rsh.sh" -localhost "$lan.254" -f "$work/hosts"
    -genv UCX_TLS tcp -genv UCX_NET_DEVICES eth0)
  local -n mpiexec=$kind
  exec "${mpiexec[@]}" "$@" -n 4 "$PWD/target/$kind/release/fitjob" run "$work/$name.toml" --out "$work/$name" >"$work/$name.log" 2>&1
}

# Process numbers of the ranks of the run NAME, on both hosts.
ranks() {
  local pid
  for pid in $(pgrep -f -- "--out $work/$1"); do
    case $(readlink "/proc/$pid/exe") in */fitjob) echo "$pid" ;; esac
  done
}
gone() { [ -z "$(ranks "$1")" ]; }
within() { # SECONDS COMMAND...
  local end=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $end ] || { echo "not within the time: $*"; return 1; }; sleep 0.2; done
}
ended() { ! kill -0 "$1" 2>/dev/null; }
in_the_middle() { grep -q 'log Z' "$work/$1.log"; }

# undisturbed KIND: the control
undisturbed() { (launch "$1" "$1-whole" 5 300); local code=$?; cat "$work/$1-whole.log"; return $code; }

# cut KIND NAME [mpiexec's arguments]: cuts host 2 off; leaves mpiexec's number in $mpiexec_pid
cut() {
  local kind=$1 name=$2 code=0; shift 2
  (launch "$kind" "$name" 50 100000 "$@") &
  mpiexec_pid=$!
  within 60 in_the_middle "$name" && [ "$(ranks "$name" | wc -l)" = 4 ] && tests/netns/hosts.sh cut 2 && within $bound gone "$name" || code=1
  cat "$work/$name.log"
  return $code
}
# leaves SECONDS: mpiexec must end by itself, with an error
leaves() {
  local code
  within "$1" ended "$mpiexec_pid" || { kill -9 "$mpiexec_pid"; return 1; }
  wait "$mpiexec_pid"; code=$?
  echo "exit code $code"; [ $code != 0 ]
}
names_the_host() { grep "has heard nothing for $silence s from rank 2 on host fj$NET-2, rank 3 on host fj$NET-2" "$work/$1.log"; }
mend() { kill -9 "$mpiexec_pid" 2>/dev/null; wait "$mpiexec_pid" 2>/dev/null; tests/netns/hosts.sh mend 2; sleep 1; }

check "two hosts come up" tests/netns/hosts.sh up 2
[ "$checks_failed" = 0 ] || finish
for kind in ${*:-openmpi mpich}; do
  check "$kind: 4 ranks on 2 hosts finish while the network is whole" undisturbed "$kind"
  check "$kind: a host is cut off: all ranks on both sides are gone within $bound s" cut "$kind" "$kind-cut"
  check "$kind: and the root has said which ranks and host fell silent" names_the_host "$kind-cut"
  # Open MPI's mpiexec by itself waits for its daemon on the lost host as long as TCP does (docs/job-file.md, silence_limit_s).
  [ "$kind" = openmpi ] || check "$kind: and mpiexec ends with an error" leaves 5
  mend 2>/dev/null
done
case " ${*:-openmpi} " in *openmpi*)
  keepalive=(--mca oob_tcp_keepalive_time 2 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2)
  check "openmpi: with keepalive shorter than the silence limit the ranks are gone too" cut openmpi openmpi-alive "${keepalive[@]}"
  check "openmpi: and mpiexec ends with an error" leaves 5
  mend 2>/dev/null ;;
esac
finish
