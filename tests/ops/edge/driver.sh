# shellcheck shell=bash
# deploy/bin's driver for tests: a colour is a granian and a daphne on loopback, a version a folder of code.
# tests/ops/edge/stage.py sets EDGE (its folder), PYTHON, BASE_URL, MIGRATION_DATABASE_URL and the ports.

port() {
    local name="${1^^}_${2^^}_PORT"
    echo "${!name}"
}

_spawn() {
    local name=$1-$2 version=$3
    shift 3
    (
        cd "$EDGE/releases/$version" || exit
        export COLOUR=${name#*-} VERSION=$version METRICS_PORT
        METRICS_PORT=$(port "metrics_${name%-*}" "$COLOUR")
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
    _spawn web "$colour" "$version" granian --interface wsgi --http 1 --no-ws --host 127.0.0.1 \
        --port "$(port web "$colour")" --workers 2 --blocking-threads 4 --respawn-failed-workers \
        --log-level warning --workers-kill-timeout 30s fynlo.wsgi:application
    _spawn ws "$colour" "$version" daphne -b 127.0.0.1 -p "$(port ws "$colour")" -v 0 --websocket_timeout -1 \
        --ping-interval 20 --ping-timeout 30 fynlo.asgi:application
    _ready "$(port web "$colour")"
    _ready "$(port ws "$colour")"
}

_ready() {
    local deadline=$((SECONDS + 90))
    until curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$1/health"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

driver_resume() { [[ -e $EDGE/web-$1.pid ]] || driver_start "$1" "$(remembered "$1")"; }

driver_stop() {
    local service pid
    for service in web ws; do
        [[ -e $EDGE/$service-$1.pid ]] || continue
        pid=$(<"$EDGE/$service-$1.pid")
        kill -TERM "$pid" 2>/dev/null || true
        timeout 40 tail --pid "$pid" -f /dev/null || kill -KILL "-$pid"
        rm "$EDGE/$service-$1.pid"
    done
}

driver_manage() {
    local version=$1
    shift
    [[ -e $EDGE/releases/$version/fynlo/ops/management/commands/$1.py ]] || { echo "SHIM $1"; return 0; }
    (cd "$EDGE/releases/$version" && VERSION=$version DB_ROLE=migrator "$PYTHON" manage.py "$@" 9>&-)
}

driver_inside() {
    local colour=$1 version
    shift
    version=$(remembered "$colour")
    [[ -e $EDGE/releases/$version/fynlo/ops/management/commands/$1.py ]] || { echo "SHIM $1"; return 0; }
    (cd "$EDGE/releases/$version" && VERSION=$version COLOUR=$colour "$PYTHON" manage.py "$@" 9>&-)
}

driver_address() { echo "http://127.0.0.1:$(port web "$1")"; }
driver_metrics() { curl --silent --fail --max-time 5 "http://127.0.0.1:$(port "metrics_$1" "$2")/metrics"; }
driver_drain() { driver_inside "$1" drain --colour "$1"; }
driver_stay() { driver_inside "$1" drain --colour "$1" --undo; }
driver_roll() { echo "$1" >"$EDGE/rolled"; }
driver_reload() { nginx -q -t -c "$EDGE/nginx/nginx.conf" && nginx -s reload -c "$EDGE/nginx/nginx.conf"; }
driver_get() { curl --silent --max-time 5 --insecure "$BASE_URL$1"; }
