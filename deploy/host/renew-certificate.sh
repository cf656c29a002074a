#!/bin/sh
# Renew the certificate when it is due, and let nginx read it without dropping a connection.
# The first one is got before nginx runs: see deploy/README.md.
set -eu
cd "$(dirname "$0")/../.."
compose() { docker compose --file docker/compose.yaml "$@"; }
# Which release runs does not matter here, and compose wants to know.
export FYNLO_VERSION="${FYNLO_VERSION:-unused}"
compose --profile tls run --rm certbot renew --quiet --webroot --webroot-path /srv/acme
compose exec -T nginx nginx -t -q -c /run/nginx/conf/nginx.conf
compose exec -T nginx nginx -s reload -c /run/nginx/conf/nginx.conf
