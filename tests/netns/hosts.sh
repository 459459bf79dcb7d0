#!/bin/bash
# "Hosts" on one machine: network namespaces on a bridge. Names and addresses hold NET, a number of the run's own.
#
#   NET=7 tests/netns/hosts.sh up N | down N | cut I | mend I     host I is called fj7-I and has the address 198.18.7.I (a range kept for tests)
#   tests/netns/hosts.sh possible                                 whether this user may make namespaces here
set -eu
net=${NET:-0}
bridge=fjb$net
case $1 in
  possible)
    command -v ip >/dev/null && ip netns add fj-probe-$$ 2>/dev/null && ip netns exec fj-probe-$$ true && ip netns del fj-probe-$$ ;;
  up)
    ip link add "$bridge" type bridge
    ip addr add "198.18.$net.254/24" dev "$bridge"
    ip link set "$bridge" up
    for i in $(seq "$2"); do
      ip netns add "fj$net-$i"
      ip link add "fjv$net-$i" type veth peer name eth0 netns "fj$net-$i"
      ip link set "fjv$net-$i" master "$bridge" up
      ip -n "fj$net-$i" addr add "198.18.$net.$i/24" dev eth0
      ip -n "fj$net-$i" link set eth0 up
      ip -n "fj$net-$i" link set lo up
    done ;;
  down)
    for i in $(seq "$2"); do
      ip netns pids "fj$net-$i" 2>/dev/null | xargs -r kill -9
      ip link del "fjv$net-$i" 2>/dev/null || true
      ip netns del "fj$net-$i" 2>/dev/null || true
    done
    ip link del "$bridge" 2>/dev/null || true ;;
  cut) ip link set "fjv$net-$2" down ;;
  mend) ip link set "fjv$net-$2" up ;;
esac
