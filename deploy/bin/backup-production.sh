#!/usr/bin/env bash
# Back up now: deploy/bin/backup-production.sh [logical|full|diff|incr] [options of backup]
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kind=${1:-logical}
[[ $# -eq 0 ]] || shift
driver_backup --kind "$kind" "$@"
