#!/usr/bin/env bash
# Point nginx to a colour that runs, and nothing else: deploy/bin/switch.sh blue|green
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

colour=${1:-}
[[ $colour == blue || $colour == green ]] || die 2 "blue or green?"
take_lock
driver_stay "$colour"
switch_to "$colour" || die "$CHECK_FAILED" "$colour does not serve."
leave "$(other "$colour")" || say "$(other "$colour") does not run"
