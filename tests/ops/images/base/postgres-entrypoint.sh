#!/bin/bash
# A new cluster where there is none, with its superuser's password and POSTGRES_DB; then the command.
set -euo pipefail
if [[ ! -s $PGDATA/PG_VERSION ]]; then
    # shellcheck disable=SC2086 # the variable holds several options
    initdb --username postgres --pwfile "$POSTGRES_PASSWORD_FILE" --auth-local trust --auth-host scram-sha-256 \
        ${POSTGRES_INITDB_ARGS:-} >/dev/null
    pg_ctl --wait --options "-c listen_addresses=" start >/dev/null
    createdb --username postgres "$POSTGRES_DB"
    pg_ctl --wait --mode fast stop >/dev/null
fi
exec "$@"
