# shellcheck shell=bash
# What the scripts beside this file share. Sourced, never run.
#
# deploy/state remembers: `active` is the colour that serves, `blue` and `green` the version each one has,
# `history` what was done when. How processes are started and stopped is the driver's business.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STATE=${DEPLOY_STATE:-$ROOT/deploy/state}
UPSTREAMS=${DEPLOY_UPSTREAMS:-$ROOT/deploy/nginx/upstreams}
# Exit codes, as the management commands have them.
# shellcheck disable=SC2034
CHECK_FAILED=3 LOCKED=4 UNSAFE=5

say() { printf '%(%H:%M:%S)T  %s\n' -1 "$*"; }
step() { printf '%(%H:%M:%S)T  == %s\n' -1 "$*"; }
die() {
    local code=$1
    shift
    echo "error: $*" >&2
    exit "$code"
}

# shellcheck source=drivers/compose.sh
source "${DEPLOY_DRIVER:-$ROOT/deploy/bin/drivers/compose.sh}"

# --- what this host remembers

remembered() { cat "$STATE/$1" 2>/dev/null || true; }
remember() {
    echo "$2" >"$STATE/.$1.new"
    mv "$STATE/.$1.new" "$STATE/$1"
}
forget() { rm -f "$STATE/$1"; }
note() { printf '%(%FT%TZ)T %s\n' -1 "$*" >>"$STATE/history"; }
other() { [[ $1 == blue ]] && echo green || echo blue; }

# One of these scripts at a time. The processes that it starts must not inherit the lock: see the drivers.
take_lock() {
    exec 9>>"$STATE/lock"
    flock --nonblock 9 || die "$LOCKED" "Another deployment is under way (process $(cat "$STATE/lock.pid" 2>/dev/null))."
    echo $$ >"$STATE/lock.pid"
}

# People are told, but nothing fails because they could not be.
tell() {
    note "$*"
    driver_manage "$(remembered "$(remembered active)")" notify --event "$@" || say "nobody could be told"
}

# --- nginx

# Point nginx to a colour. Requests that it has already taken are finished by those who have them.
switch_to() {
    local colour=$1 before
    before=$(readlink "$UPSTREAMS/active.conf" || true)
    _point "$colour.conf"
    if ! driver_reload || ! _serves "$colour"; then
        say "nginx did not take $colour: it stays as it was"
        [[ -z $before ]] || _point "$before"
        driver_reload || true
        return 1
    fi
    remember active "$colour"
    note "switched to $colour $(remembered "$colour")"
}

# Renaming replaces the link in one step: there is no moment without one.
_point() {
    ln -sfn "$1" "$UPSTREAMS/.active.new"
    mv -T "$UPSTREAMS/.active.new" "$UPSTREAMS/active.conf"
}

# Until five new connections in a row are answered by the colour; an old worker may still take one.
_serves() {
    local seen=0 deadline=$((SECONDS + 20))
    while ((seen < 5)); do
        ((SECONDS < deadline)) || return 1
        if driver_get /version | grep -q "\"colour\": \"$1\""; then
            seen=$((seen + 1))
        else
            seen=0
            sleep 0.2
        fi
    done
}

# --- leaving a colour

metric() { awk -v name="$1" '$1 ~ "^" name "([{]|$)" { sum += $2 } END { print sum + 0 }'; }

# Until a number of the colour's metrics is 0; at most 30 seconds.
wait_for_none() {
    local service=$1 colour=$2 name=$3 deadline=$((SECONDS + 30)) left
    while ((SECONDS < deadline)); do
        left=$(driver_metrics "$service" "$colour" | metric "$name") || return 0
        [[ $left == 0 ]] && return 0 # plainly 0: in a trap a bare return means something else
        sleep 0.5
    done
    say "$service-$colour: $name is still $left"
}

# Requests are answered to the end, then screens are asked, a few at a time, to connect anew.
leave() {
    wait_for_none web "$1" fynlo_requests_in_flight
    driver_drain "$1"
    wait_for_none ws "$1" fynlo_kitchen_sockets
}

# --- watching

# Watch the colour that serves for some seconds. Fails at the third bad probe in a row, or when of fifty
# requests and more a twentieth were errors of ours.
bake() {
    local colour=$1 deadline=$((SECONDS + $2)) bad=0 total errors page first_total first_errors
    page=$(driver_metrics web "$colour" || true)
    first_total=$(_answers '' <<<"$page")
    first_errors=$(_answers 5 <<<"$page")
    while ((SECONDS < deadline)); do
        if _is_well "$colour"; then bad=0; else bad=$((bad + 1)); fi
        if ((bad >= 3)); then
            say "$colour does not answer as it must"
            return 1
        fi
        if page=$(driver_metrics web "$colour"); then
            total=$(($(_answers '' <<<"$page") - first_total))
            errors=$(($(_answers 5 <<<"$page") - first_errors))
            if ((total >= 50 && errors * 20 > total)); then
                say "$errors of $total requests failed"
                return 1
            fi
        fi
        sleep 1
    done
}

_is_well() {
    driver_get /health | grep -Eq '"status": "(ok|degraded)"' && driver_get /version | grep -q "\"colour\": \"$1\""
}

# How many answers the metrics count, by the first digit of their status. Health probes answer 503 by design.
_answers() {
    awk -v digit="$1" '/^django_http_responses_total_by_status_total[{]/ && $0 ~ "status=\"" digit && !/"503"/ \
        { sum += $2 } END { printf "%d\n", sum }'
}
