#!/usr/bin/env bash
# Start Fynlo on a new host: deploy/host/first-start.sh VERSION. Every version after it comes by deploy/bin/deploy.sh.
# What has been done already is not undone when it is repeated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:?which version?}
if [[ -s deploy/state/active ]]; then
    echo "first-start.sh: $(<"deploy/state/$(<deploy/state/active)") serves here. Use deploy/bin/deploy.sh." >&2
    exit 5
fi
export FYNLO_VERSION=$version FYNLO_BACKUP_VERSION=${version%%@*}
compose() { docker compose --file docker/compose.yaml --profile blue --profile tools "$@"; }
step() { printf '%(%H:%M:%S)T  == %s\n' -1 "$*"; }

step "PostgreSQL and both Redis"
compose up --detach --wait postgres redis redis-cache
step "Roles and tables"
compose run --rm -T manage manage bootstrap_roles
compose run --rm -T migrate migrate --phase all
step "Static files"
compose run --rm -T collect
step "Everything else, as blue"
ln -sfn blue.conf deploy/nginx/upstreams/active.conf
compose up --detach --wait web-blue ws-blue platform worker beat backup
# After the names that it looks for are there.
compose up --detach --wait nginx
mkdir -p deploy/state
echo "$version" >deploy/state/blue
echo blue >deploy/state/active
step "$version serves as blue"
