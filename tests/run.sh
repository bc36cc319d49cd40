#!/usr/bin/env bash
# Runs all tests and sums their results. The last line is `N passed, N failed`; the exit code is cargo's.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
counts="${CARGO_TARGET_DIR:-target}/test-counts"
mkdir -p "$(dirname "$counts")"

# Cargo's own output stays visible, and is read to its end: that includes the stopping of the test servers.
cargo test --no-fail-fast "$@" 2>&1 | awk -v counts="$counts" '
  { print; fflush() }
  /^test result: / {
    for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) passed += $(i - 1)
      if ($i ~ /^failed/) failed += $(i - 1)
    }
  }
  # A test binary that did not compile, or died, has no result line of its own.
  /^error: could not compile / || /\(signal: / { failed++ }
  END {
    printf "%d passed, %d failed\n", passed, failed
    printf "%d passed, %d failed\n", passed, failed > counts
  }
'
exit "${PIPESTATUS[0]}"
