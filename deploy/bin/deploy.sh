#!/usr/bin/env bash
# Release a version without a failed request: deploy/bin/deploy.sh VERSION [--bake SECONDS]
#
# Until nginx is switched nothing that serves is touched, and any failure ends there. After it, a version
# that does not do well is left again by itself. Old and new run on one schema for a while: what the old one
# could not bear (contract migrations) goes out with the release after this one.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=${1:?which version?}
bake_seconds=300
[[ ${2:-} != --bake ]] || bake_seconds=${3:?how many seconds?}

take_lock
old=$(remembered active)
new=$(other "${old:-green}")
is_started=""
is_switched=""

give_up() {
    local code=$?
    trap - EXIT INT TERM
    ((code)) || exit 0
    say "$version did not make it"
    if [[ $is_switched && $old ]]; then
        step "Switch back to $old"
        driver_stay "$old" || say "could not tell $old that it stays"
        if switch_to "$old"; then leave "$new"; else say "$old does not serve either: see docs/production.md"; fi
    fi
    # What nobody is sent to may stop, and is no way back. As long as nginx points to it, it must not.
    if [[ $is_started && $(remembered active) != "$new" ]]; then
        driver_stop "$new" || say "$new could not be stopped"
        forget "$new"
    fi
    tell deploy-failed --version "$version"
    exit "$code"
}
trap give_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "Check"
driver_manage "$version" check_deploy
step "Back up and expand the schema"
driver_manage "$version" migrate_safely --phase expand
step "Start $new"
is_started=1
driver_start "$new" "$version"
remember "$new" "$version"
step "Verify $new"
# The first one has nobody to disturb, and verifying needs a worker.
[[ $old ]] || driver_roll "$version"
driver_verify "$new" "${version%%@*}"

step "Switch to $new"
is_switched=1
switch_to "$new"
[[ -z $old ]] || leave "$old"
step "Watch for $bake_seconds s"
bake "$new" "$bake_seconds" || exit "$CHECK_FAILED"

trap - EXIT INT TERM
[[ -z $old ]] || driver_stop "$old"
step "Roll the worker, beat and the console"
driver_roll "$version"
step "Warm the cache"
driver_inside "$new" warm_cache || say "the cache is cold"
tell deploy-done --version "$version"
say "$version serves as $new"
