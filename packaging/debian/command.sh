#!/bin/sh
# gemma-tui as Debian installs it: runs the user's environment of this version, or sets it up first.
set -eu
share=/usr/share/gemma-tui
version=@VERSION@
environment="${GEMMA_TUI_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/gemma-tui}/program/$version"
if [ ! -e "$environment/complete" ]; then
    /usr/bin/python3 -I "$share/set-up" "$share" "$environment" || exit $?
fi
exec "$environment/bin/gemma-tui" "$@"
