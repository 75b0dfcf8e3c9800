#!/bin/sh
# Installs the built command line with its man pages and completions, or takes it away again.
#
#   scripts/install_cli.sh install|uninstall PROGRAM PREFIX
#
# DESTDIR (environment) is put in front of every path.
set -eu
action=$1
program=$2
prefix=${3%/}
root=${DESTDIR:-}

binaries="$root$prefix/bin"
pages="$root$prefix/share/man/man1"
bash="$root$prefix/share/bash-completion/completions"
zsh="$root$prefix/share/zsh/site-functions"
fish="$root$prefix/share/fish/vendor_completions.d"

if [ "$action" = uninstall ]; then
    rm -f "$binaries/sarsen" "$pages"/sarsen.1 "$pages"/sarsen-*.1 "$bash/sarsen" "$zsh/_sarsen" "$fish/sarsen.fish"
    exit 0
fi

install -d "$binaries" "$pages" "$bash" "$zsh" "$fish"
install -m 755 "$program" "$binaries/sarsen"
"$program" man --dir "$pages"
chmod 644 "$pages"/sarsen.1 "$pages"/sarsen-*.1
for shell in bash:"$bash/sarsen" zsh:"$zsh/_sarsen" fish:"$fish/sarsen.fish"; do
    "$program" completions "${shell%%:*}" >"${shell#*:}"
    chmod 644 "${shell#*:}"
done
