#!/bin/sh
# Write nginx's configuration for this place: deploy/nginx/render.sh DIRECTORY, then nginx -c DIRECTORY/nginx.conf
#
# BASE_URL and PLATFORM_URL (may be empty) name the hosts, HSTS_SECONDS is as in the application's environment.
# Lists of addresses or networks, with spaces between:
#   STAFF_ADDRESSES     may look at the colour that is not in use (nobody)
#   CONSOLE_ADDRESSES   may see the platform console (everybody)
#   LOAD_BALANCERS      stand in front of us, and are believed about where a request comes from (none)
# Places: CERTIFICATES, WEB_ROOT (holds static/, media/ and acme/), RUN, ACCESS_LOG, SECURITY_LOG, UPSTREAMS.
set -eu
target=${1:?"where to?"}
source=$(cd "$(dirname "$0")" && pwd)

host_of() { printf '%s' "$1" | sed -E 's#^https?://([^/:]+).*#\1#'; }
host=$(host_of "${BASE_URL:?}")
console_host=$(host_of "${PLATFORM_URL:-}")
certificates=${CERTIFICATES:-/etc/letsencrypt/live/fynlo}
run=${RUN:-/run/nginx}
# nginx does not start without a certificate, and without nginx certbot gets none.
[ -e "$certificates/fullchain.pem" ] || certificates=$run/certificate
hsts="max-age=${HSTS_SECONDS:-86400}"
[ "${HSTS_SECONDS:-86400}" -lt 31536000 ] || hsts="$hsts; includeSubDomains; preload"

mkdir -p "$target/addresses" "$run"
cp -r "$source/nginx.conf" "$source/conf.d" "$source/snippets" "$target/"
[ -n "$console_host" ] || rm "$target/conf.d/console.conf"
# The colour in use is switched under nginx: this directory is shared, not copied.
ln -sfn "${UPSTREAMS:-$source/upstreams}" "$target/upstreams"

for address in ${STAFF_ADDRESSES:-}; do echo "$address 1;"; done >"$target/addresses/staff.conf"
for address in ${LOAD_BALANCERS:-}; do echo "set_real_ip_from $address;"; done >"$target/addresses/load_balancers.conf"
{
    for address in ${CONSOLE_ADDRESSES:-}; do echo "allow $address;"; done
    [ -z "${CONSOLE_ADDRESSES:-}" ] || echo 'deny all;'
} >"$target/addresses/console.conf"

set -- -e "s#@HOSTS@#$host $console_host#" -e "s#@HOST@#$host#" -e "s#@CONSOLE_HOST@#$console_host#" \
    -e "s#@HSTS@#$hsts#" -e "s#@CERTIFICATES@#$certificates#" -e "s#@RUN@#$run#" \
    -e "s#@WEB_ROOT@#${WEB_ROOT:-/srv}#" -e "s#@ACCESS_LOG@#${ACCESS_LOG:-/dev/stdout}#" \
    -e "s#@SECURITY_LOG@#${SECURITY_LOG:-/var/log/nginx/security.log}#"
[ ! -s /proc/net/if_inet6 ] || set -- "$@" -e 's/#v6 //'
version=$(nginx -v 2>&1 | sed -E 's#.*/([0-9]+)\.([0-9]+)\.([0-9]+).*#\1 \2 \3#' | { read -r a b c; echo $((a * 1000000 + b * 1000 + c)); })
[ "$version" -ge 1025001 ] || set -- "$@" -e '/http2 on;/d' -e 's/(listen .*443 ssl)/\1 http2/'
[ "$version" -ge 1027004 ] || set -- "$@" -e '/keepalive_min_timeout/d'
find "$target/nginx.conf" "$target/conf.d" "$target/snippets" -type f -exec sed -E -i "$@" {} +

if [ ! -e "$certificates/fullchain.pem" ]; then
    echo "No certificate yet: making one that no browser trusts." >&2
    mkdir -p "$certificates"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$host" \
        -addext "subjectAltName=DNS:$host${console_host:+,DNS:$console_host}" \
        -keyout "$certificates/privkey.pem" -out "$certificates/fullchain.pem" 2>/dev/null
fi
