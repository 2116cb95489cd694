#!/usr/bin/env bash
# Installs the programs that the tests of the DICOM objects, the DICOM node and the page run for real (Debian, Ubuntu):
# Orthanc with DICOMweb, dciodvfy, DCMTK, Chromium, OpenSSL. Does nothing where they are all there.
set -euo pipefail
packages=(orthanc orthanc-dicomweb dicom3tools dcmtk chromium openssl)
missing=()
for package in "${packages[@]}"; do
    state="$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)"
    [ "$state" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
