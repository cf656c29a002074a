#!/usr/bin/env bash
# Nothing works since the last deployment: deploy/bin/emergency-rollback.sh
#
# Ends a deployment that is still under way, and goes back to the code before, asking nobody. It touches no
# data: that is another decision, see docs/production.md, "In an emergency".
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

before=$(remembered active)
if ! flock --nonblock "$STATE/lock" true; then
    pid=$(cat "$STATE/lock.pid")
    say "ending the deployment under way, process $pid"
    kill -TERM "$pid"
    flock --wait 120 "$STATE/lock" true || die "$LOCKED" "Process $pid does not end. Kill it, then run this again."
    # It may have been in its watch, and has switched back itself.
    if [[ $(remembered active) != "$before" ]]; then
        say "it has gone back to $(remembered active), $(remembered "$(remembered active)")"
        exit 0
    fi
fi
"$(dirname "${BASH_SOURCE[0]}")/rollback.sh"
echo "The code is back. If data is wrong too, stop here and read docs/production.md, \"In an emergency\"."
