#!/usr/bin/env bash
# What people do who have read the README and nothing else: every file of tests/strangers/ is one task, which makes its
# own small inputs and has a healthy case and a planted fault. Prints TAP, and what a task that fails has printed.
#
#   bash tests/strangers.sh            all of them, two at a time (JOBS=1: one by one)
#   bash tests/strangers.sh gated      only those with this in their name
set -euo pipefail

python=${PYTHON:-python}
tasks=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/strangers
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

symcheck() { "$python" -m symcheck "$@"; }

# expect CODE PATTERN COMMAND...: this exit code, and this extended regular expression in a line of what is printed
expect() {
  local code=$1 pattern=$2 rc=0
  shift 2
  "$@" > printed.txt 2>&1 || rc=$?
  if [ "$rc" -ne "$code" ] || ! grep -qE -- "$pattern" printed.txt; then
    printf '# exit code %s; wanted %s and a line with: %s\n# $ %s\n' "$rc" "$code" "$pattern" "$*"
    sed 's/^/#   /' printed.txt
    return 1
  fi
}

# attempt NUMBER FILE: the task in a folder of its own, and its line of TAP
attempt() {
  local folder="$here/$1" rc=0
  mkdir "$folder"
  set +e
  (set -e; cd "$folder"; source "$2") > "$folder.log" 2>&1
  rc=$?
  set -e
  if [ "$rc" -ne 0 ]; then
    sed 's/^\([^#]\)/# \1/' "$folder.log"
    printf 'not '
  fi
  echo "ok $1 - $(sed -n '1s/^# //p' "$2")"
}

count=0
for file in "$tasks"/*"${1:-}"*.sh; do
  count=$((count + 1))
  attempt "$count" "$file" > "$here/$count.tap" &
  if [ "$(jobs -rp | wc -l)" -ge "${JOBS:-2}" ]; then wait -n; fi
done
wait
for ((number = 1; number <= count; number++)); do cat "$here/$number.tap"; done
echo "1..$count"
! grep -q '^not ok' "$here"/*.tap
