#!/bin/sh
# install_packages.sh PACKAGE...: installs Debian packages, as root or with sudo. Where it may not, it says the one exact
# line that root has to run; status 1.
set -eu

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "install_packages.sh: not root and no sudo. To install, as root:" >&2
        echo "    apt-get update && apt-get install -y --no-install-recommends $*" >&2
        exit 1
    fi
    as_root="sudo"
fi
$as_root apt-get update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
