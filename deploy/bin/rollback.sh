#!/usr/bin/env bash
# Back to the version before, which is still here: deploy/bin/rollback.sh [VERSION]
#
# The schema stays: it bears both. VERSION makes sure that it is the one meant.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

wanted=${1:-}
take_lock
bad=$(remembered active)
[[ $bad ]] || die "$UNSAFE" "Nothing was ever deployed here."
good=$(other "$bad")
version=$(remembered "$good")
[[ $version ]] || die "$UNSAFE" "There is no version before $(remembered "$bad") here."
[[ -z $wanted || ${wanted%%@*} == "${version%%@*}" ]] ||
    die "$UNSAFE" "The version before is $version. To get $wanted: deploy/bin/deploy.sh $wanted"
[[ $wanted || $version != "$(remembered left)" ]] ||
    die "$UNSAFE" "$version is what was rolled back from. To go there all the same: deploy/bin/rollback.sh $version"

step "Wake $good, $version"
driver_resume "$good"
driver_stay "$good"
step "Switch to $good"
switch_to "$good" || die "$CHECK_FAILED" "$good does not serve; $bad does."
remember left "$(remembered "$bad")"
leave "$bad"
step "Roll the worker, beat and the console"
driver_roll "$version"
tell rollback-done --version "$version"
say "$version serves as $good; $bad is still there"
