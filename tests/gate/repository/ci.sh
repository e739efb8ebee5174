#!/usr/bin/env bash
# What continuous integration runs: first the configuration, in a second, then the gates, with files for the reviewer.
set -euo pipefail
cd -- "$(dirname -- "$0")"
python -m symcheck gate --check-config
python -m symcheck gate -o gate.json -o gate.xml -o gate.html "$@"
