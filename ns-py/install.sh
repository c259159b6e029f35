#!/usr/bin/env bash
# Builds the wheel and installs it into an empty virtual environment: install.sh FOLDER. PYTHON is the interpreter (3.11 or newer), PROFILE the
# profile of the build.
set -euo pipefail
# by its whole path: pip takes a bare name for one of the registry's
here="$(cd "$(dirname "$0")" && pwd)"
room="$(mktemp -d)"
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$1"
MATURIN_PEP517_ARGS="--locked --profile ${PROFILE:-dev}" \
    "$1/bin/pip" wheel -q --disable-pip-version-check --no-deps -w "$room" "$here"
"$1/bin/pip" install -q --disable-pip-version-check --no-index "$room"/*.whl
