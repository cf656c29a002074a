#!/bin/sh
# What a container of this image runs: fynlo web|ws|platform|worker|beat|backup|migrate|collect|manage [arguments]
# In a running container too: docker compose exec web-blue fynlo manage diagnose db
set -eu
cd /app

# Each file in /run/secrets is the variable of its name (see fynlo/env.py), and stays a file.
for secret in /run/secrets/*; do
    [ -f "$secret" ] && export "${secret##*/}_FILE=$secret"
done

# One that is told to stop while it still starts would never hear of it again: hence the last option.
serve_wsgi() {
    port=$1 workers=$2
    shift 2
    exec granian --interface wsgi --http 1 --no-ws --host 0.0.0.0 --port "$port" \
        --workers "$workers" --blocking-threads 4 --respawn-failed-workers \
        --log-level warning --workers-kill-timeout 30s "$@" fynlo.wsgi:application
}

# Some platforms start the whole command line by the entrypoint, some instead of it.
[ "${1:-}" != fynlo ] || shift
role=${1:?"which of web, ws, platform, worker, beat, backup, migrate, collect, manage?"}
shift
case $role in
    web | ws | platform | worker | backup | beat) echo "$role" >/tmp/role ;; # for healthcheck.py
esac
case $role in
    web)
        # Prometheus asks one port and wants the sums of all workers. The files are of this run alone.
        export PROMETHEUS_MULTIPROC_DIR="${PROMETHEUS_MULTIPROC_DIR:-/tmp/metrics}"
        rm -rf "$PROMETHEUS_MULTIPROC_DIR"
        mkdir -p "$PROMETHEUS_MULTIPROC_DIR"
        serve_wsgi 8000 "${WEB_CONCURRENCY:-2}" "$@"
        ;;
    ws)
        trap '' USR1 # `manage.py drain` must not end one that is still starting
        exec daphne -b 0.0.0.0 -p 8001 -v 0 --websocket_timeout -1 --ping-interval 20 --ping-timeout 30 \
            --websocket-max-message-size 65536 "$@" fynlo.asgi:application
        ;;
    platform) serve_wsgi 8002 1 "$@" ;;
    worker) exec celery -A fynlo --quiet worker --queues celery --concurrency "${WORKER_CONCURRENCY:-4}" "$@" ;;
    backup) exec celery -A fynlo --quiet worker --queues backup --concurrency 3 "$@" ;;
    beat) exec celery -A fynlo --quiet beat --pidfile= --schedule /tmp/beat-schedule "$@" ;;
    migrate) exec python manage.py migrate_safely "$@" ;;
    # Names carry a hash of their content, so that the files of two releases live side by side.
    collect) exec cp -r --update /app/staticfiles/. /static/ ;;
    manage) exec python manage.py "$@" ;;
    *)
        echo "fynlo: there is no role $role." >&2
        exit 2
        ;;
esac
