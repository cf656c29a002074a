#!/bin/sh
# Fill in nginx's configuration for this host, then run nginx. Mounted into nginx's own image.
#   nginx -t -c /run/nginx/conf/nginx.conf         is it right?
#   nginx -s reload -c /run/nginx/conf/nginx.conf  use it
set -eu
# Certbot makes its directories itself, and asks for another name where they are there already.
if [ ! -e /etc/letsencrypt/live/fynlo/fullchain.pem ]; then
    export CERTIFICATES=/run/nginx/certificate
fi
/fynlo/nginx/render.sh /run/nginx/conf
exec nginx -c /run/nginx/conf/nginx.conf -g 'daemon off;'
