#!/usr/bin/env bash
# Builds sdist and wheel, installs the wheel into an environment that does not see the repository, and runs the demo's first
# steps from it. Dependencies are those of .venv; with --full they are installed anew.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --outdir "$work/dist" "$root"  # the wheel is made from the sdist
wheel=$(echo "$work"/dist/*.whl)

# Every file of the package, templates and pages too, is in the wheel.
git -C "$root" ls-files src/bayescope | sed 's|^src/||' | sort > "$work/expected"
"$python" -m zipfile --list "$wheel" | awk '{print $1}' | grep '^bayescope/' | sort > "$work/packed"
if ! diff "$work/expected" "$work/packed"; then
    echo "the wheel does not hold the files of src/bayescope (< missing, > too many): check [tool.hatch] in pyproject.toml" >&2
    exit 1
fi

"$python" -m venv "$work/env"
if [ "${1:-}" = --full ]; then
    "$work/env/bin/pip" install --quiet "$(grep '^torch==' "$root/constraints.txt")" numpy -c "$root/constraints.txt"
    "$work/env/bin/pip" install --quiet "$wheel" -c "$root/constraints.txt"
else
    # A folder named in a .pth file is searched for packages; the .pth files in it, such as that of the repository, are not read.
    "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$("$work/env/bin/python" -c \
        'import sysconfig; print(sysconfig.get_path("purelib"))')/dependencies.pth"
    "$work/env/bin/pip" install --quiet --no-deps --force-reinstall --no-index "$wheel"
fi

cd "$work"
"$work/env/bin/python" - "$work/env" <<'CHECK'
import sys
from pathlib import Path

import bayescope

found = Path(bayescope.__file__)
if not found.is_relative_to(sys.argv[1]):
    sys.exit(f"imported {found}; expected the wheel's, in {sys.argv[1]}")
CHECK
"$work/env/bin/bayescope" --version
"$work/env/bin/bayescope" demo --out demo --steps 20
"$work/env/bin/bayescope" sample demo --out samples.png
for file in demo/report.html demo/measures.json samples.png; do
    test -s "$file" || { echo "$file: not written by the installed wheel" >&2; exit 1; }
done
echo "wheel: $(basename "$wheel"), $(stat -c %s "$wheel") bytes; the demo's first steps ran from it"
