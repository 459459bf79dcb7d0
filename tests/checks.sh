#!/bin/bash
# Sourced by the shell tests: check "what must hold" COMMAND... runs the command and prints "ok - " or "not ok - ".
checks_failed=0

check() {
  local what=$1 log start=$SECONDS; shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1 </dev/null; then echo "ok - $what ($((SECONDS - start)) s)"
  else
    echo "not ok - $what: exit $? of: $*"; sed 's/^/    | /' "$log" | tail -40
    checks_failed=$((checks_failed + 1))
  fi
  rm -f "$log"
}

# The digest in a run directory's summary.json: a hash over the bits of the answer.
digest() { sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' "$1/summary.json" 2>/dev/null; }

finish() { exit $((checks_failed > 0)); }
