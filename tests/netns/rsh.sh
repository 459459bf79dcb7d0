#!/bin/bash
# What mpiexec takes for rsh or ssh: rsh.sh [-x ...] HOST COMMAND... runs the command in the namespace HOST, under that host name.
while [[ $1 == -* ]]; do shift; done
host=$1; shift
exec ip netns exec "$host" unshare --uts -- bash -c 'hostname "$0"; exec bash -c "$1"' "$host" "$*"
