#!/usr/bin/env bash
# Take a migration back, after a backup: deploy/bin/rollback-migration.sh APP NAME [options of rollback_migration]
# NAME is the one before it. Hardly ever needed: code goes back without the schema.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

app=${1:?which app?}
name=${2:?to which migration?}
shift 2
take_lock
driver_manage "$(remembered "$(remembered active)")" rollback_migration "$app" "$name" "$@"
