# shellcheck shell=bash
# How deploy/bin starts, asks and stops the processes: containers of docker/compose.yaml.
# Another driver defines the same functions; DEPLOY_DRIVER names its file.

# What is not this release's concern needs some version too, only to be read. A digest is of one image only.
compose() {
    local release=${version:-$(remembered "$(remembered active)")}
    FYNLO_VERSION=$release FYNLO_BACKUP_VERSION=${FYNLO_BACKUP_VERSION:-${release%%@*}} \
        docker compose --file "$ROOT/docker/compose.yaml" --profile blue --profile green --profile tools "$@" 9>&-
}
ETC=${FYNLO_ETC:-/etc/fynlo}
setting() { sed -n "s/^$1=//p" "$ETC/fynlo.env" | tail -n 1 | tr -d "\"'"; }

# Start VERSION as COLOUR, wait until it is ready, and put its static files beside the others.
driver_start() {
    local colour=$1 version=$2
    compose pull --quiet --policy missing "web-$colour" "ws-$colour"
    compose run --rm -T collect
    compose up --detach --wait --no-deps --force-recreate "web-$colour" "ws-$colour"
}

# Start again what driver_stop stopped: same containers, same version.
driver_resume() {
    compose start "web-$1" "ws-$1"
    compose up --detach --wait --no-deps --no-recreate "web-$1" "ws-$1"
}

# Stopped, not removed: it is the way back.
driver_stop() { compose stop "web-$1" "ws-$1"; }

# manage.py COMMAND of VERSION, with the migrator's login.
driver_manage() {
    local version=$1
    shift
    compose run --rm -T --no-deps manage manage "$@"
}

# manage.py COMMAND inside a running COLOUR, with the application's login.
driver_inside() {
    local colour=$1
    shift
    compose exec -T "web-$colour" fynlo manage "$@"
}

driver_backup() { compose exec -T backup fynlo manage backup "$@"; }

# From inside the network, where a colour is reached before anybody is sent to it.
driver_verify() {
    local colour=$1 expected=$2
    shift 2
    driver_inside "$colour" verify_deployment --base-url "http://web-$colour:8000" --expect-version "$expected" "$@"
}

driver_metrics() {
    compose exec -T "$1-$2" python -c \
        'import urllib.request as u; print(u.urlopen("http://127.0.0.1:9100/metrics", timeout=5).read().decode())'
}

# By the marker in each container and the signal; where not even Python starts any more, by the signal.
driver_drain() {
    compose exec -T "web-$1" fynlo manage drain || say "web-$1 does not know that it is leaving"
    compose exec -T "ws-$1" fynlo manage drain || compose kill --signal SIGUSR1 "ws-$1"
}

driver_stay() {
    compose exec -T "web-$1" fynlo manage drain --undo
    compose exec -T "ws-$1" fynlo manage drain --undo
}

# All others with the release's code. A worker finishes what it has begun; so does the console.
driver_roll() {
    local version=$1
    compose up --detach --no-deps --wait platform worker beat backup
}

# Also what a release changed in nginx's own files.
driver_reload() {
    compose exec -T nginx sh -c '/fynlo/nginx/render.sh /run/nginx/conf &&
        nginx -q -t -c /run/nginx/conf/nginx.conf && nginx -s reload -c /run/nginx/conf/nginx.conf'
}

# A page as the public gets it, each time over a new connection through this host's nginx.
driver_get() {
    curl --silent --max-time 5 --insecure --connect-to "::127.0.0.1:${FYNLO_HTTPS:-443}" "$(setting BASE_URL)$1"
}
