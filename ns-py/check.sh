#!/usr/bin/env bash
# Builds the wheel, installs it into an empty virtual environment and checks it there: tests, doctests, types. Arguments go to pytest.
# PYTHON is the interpreter (3.11 or newer), PROFILE the profile of the build.
set -euo pipefail
cd "$(dirname "$0")"
room="$(mktemp -d)"
trap 'rm -rf "$room"' EXIT

# before anything else is there, so that the wheel is seen to need nothing
./install.sh "$room/venv"
# shellcheck disable=SC1091
. "$room/venv/bin/activate"
pip install -q --disable-pip-version-check mypy==2.4.1 "pyright[nodejs]==1.1.414" pytest==9.2.0 pytest-asyncio==1.5.0 \
    matplotlib==3.11.2 rich==15.0.0 \
    ipykernel==7.4.0 nbclient==0.11.0 nbformat==5.11.1
python generate.py --check

# away from the source, so that what is checked is what was installed
cp -r tests examples README.md "$room/"
cp -r ../docs/python "$room/docs"
export NEVERSTOP_SOURCE="$PWD"
cd "$room"
mypy --strict -p neverstop
MYPYPATH="$NEVERSTOP_SOURCE:examples" mypy --strict tests examples docs "$NEVERSTOP_SOURCE/generate.py" "$NEVERSTOP_SOURCE/bench.py"
python -m mypy.stubtest neverstop._native
pyright --verifytypes neverstop --ignoreexternal > types.txt || { cat types.txt; exit 1; }
pytest -q -p no:cacheprovider -c "$NEVERSTOP_SOURCE/pyproject.toml" --rootdir "$room" "$room/tests" "$@"
