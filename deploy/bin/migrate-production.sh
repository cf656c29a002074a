#!/usr/bin/env bash
# Migrate without a release: deploy/bin/migrate-production.sh expand|contract [options of migrate_safely]
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

phase=${1:?expand or contract?}
shift
take_lock
driver_manage "$(remembered "$(remembered active)")" migrate_safely --phase "$phase" "$@"
