#!/usr/bin/env bash
# Rebuild what the page of `bayescope serve` takes from npm: OpenSeadragon as one ES module, and its licence.
set -euo pipefail
OPENSEADRAGON=6.1.1
ESBUILD=0.28.2
vendor="$(cd "$(dirname "$0")/.." && pwd)/src/bayescope/service/page/vendor"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --save-exact --ignore-scripts --no-audit --no-fund "openseadragon@$OPENSEADRAGON" "esbuild@$ESBUILD" >/dev/null
echo 'export { default } from "openseadragon";' >entry.js
# esbuild's own launcher wants its install script: call the binary of this platform.
node_modules/@esbuild/*/bin/esbuild entry.js --bundle --minify --format=esm --legal-comments=inline \
    --banner:js="/*! OpenSeadragon $OPENSEADRAGON, BSD-3-Clause, see openseadragon.LICENSE.txt */" \
    --log-level=warning --outfile="$vendor/openseadragon.js"
cp node_modules/openseadragon/LICENSE.txt "$vendor/openseadragon.LICENSE.txt"
