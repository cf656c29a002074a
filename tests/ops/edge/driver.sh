# shellcheck shell=bash
# deploy/bin's driver for tests: a colour is a granian and a daphne on loopback, a version a folder of code.
# There is one worker, and no console. stage.py sets EDGE (its folder), PYTHON, BASE_URL, the logins and ports.

port() {
    local name="${1^^}_${2^^}_PORT"
    echo "${!name}"
}

# NAME VERSION MODULE ...: a process of that version's code; NAME ends with the colour, if it has one.
_spawn() {
    local name=$1 version=$2
    shift 2
    (
        cd "$EDGE/releases/$version" || exit
        export VERSION=$version METRICS_PORT=0
        if [[ $name == *-* ]]; then
            export COLOUR=${name#*-}
            METRICS_PORT=$(port "metrics_${name%-*}" "$COLOUR")
        fi
        if [[ $name == web-* ]]; then
            export PROMETHEUS_MULTIPROC_DIR=$EDGE/metrics/$COLOUR
            rm -rf "$PROMETHEUS_MULTIPROC_DIR"
            mkdir -p "$PROMETHEUS_MULTIPROC_DIR"
        fi
        exec setsid "$PYTHON" -m "$@" >>"$EDGE/$name.log" 2>&1 9>&- &
        echo $! >"$EDGE/$name.pid"
    )
}

driver_start() {
    local colour=$1 version=$2
    driver_stop "$colour"
    _spawn "web-$colour" "$version" granian --interface wsgi --http 1 --no-ws --host 127.0.0.1 \
        --port "$(port web "$colour")" --workers 2 --blocking-threads 4 --respawn-failed-workers \
        --log-level warning --workers-kill-timeout 30s fynlo.wsgi:application
    _spawn "ws-$colour" "$version" daphne -b 127.0.0.1 -p "$(port ws "$colour")" -v 0 --websocket_timeout -1 \
        --ping-interval 20 --ping-timeout 30 fynlo.asgi:application
    _ready "$(port web "$colour")"
    _ready "$(port ws "$colour")"
}

_ready() {
    local deadline=$((SECONDS + 300)) # on a machine with much else to do
    until curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$1/health"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

driver_resume() { [[ -e $EDGE/web-$1.pid ]] || driver_start "$1" "$(remembered "$1")"; }

driver_stop() {
    _end "web-$1"
    _end "ws-$1"
}

_end() {
    local pid
    [[ -e $EDGE/$1.pid ]] || return 0
    pid=$(<"$EDGE/$1.pid")
    kill -TERM "$pid" 2>/dev/null || true
    timeout 40 tail --pid "$pid" -f /dev/null || kill -KILL "-$pid"
    rm "$EDGE/$1.pid"
}

driver_manage() {
    local version=$1
    shift
    (cd "$EDGE/releases/$version" && VERSION=$version DB_ROLE=migrator "$PYTHON" manage.py "$@" 9>&-)
}

driver_inside() {
    local colour=$1 version
    shift
    version=$(remembered "$colour")
    (cd "$EDGE/releases/$version" && VERSION=$version COLOUR=$colour "$PYTHON" manage.py "$@" 9>&-)
}

# All but what depends on how busy this machine is.
driver_verify() {
    driver_inside "$1" verify_deployment --json --base-url "http://127.0.0.1:$(port web "$1")" \
        --ws-url "ws://127.0.0.1:$(port ws "$1")" --expect-version "$2" >"$EDGE/verified" || true
    "$PYTHON" -c 'import json, sys
failed = [c["name"] for c in json.load(sys.stdin)["checks"] if c["status"] == "fail"]
sys.exit(f"failed: {failed}" if set(failed) - {"speed", "queue"} else 0)' <"$EDGE/verified"
}
driver_metrics() { curl --silent --fail --max-time 5 "http://127.0.0.1:$(port "metrics_$1" "$2")/metrics"; }
driver_drain() { driver_inside "$1" drain --colour "$1"; }
driver_stay() { driver_inside "$1" drain --colour "$1" --undo; }
driver_roll() {
    _end worker
    _spawn worker "$1" celery -A fynlo --quiet worker --concurrency 2 --queues celery
}
driver_reload() { nginx -q -t -c "$EDGE/nginx/nginx.conf" && nginx -s reload -c "$EDGE/nginx/nginx.conf"; }
driver_get() { curl --silent --max-time 5 --insecure "$BASE_URL$1"; }
