#!/usr/bin/env bash
# The host's firewall by ufw: ssh, HTTP and HTTPS come in, everything goes out. As root; repeat it at will.
#
# Docker writes its own rules and passes ufw by, so published ports are open whatever ufw says. Therefore
# compose.yaml publishes 80 and 443 alone, and the chain DOCKER-USER, which Docker leaves to us, lets
# nothing else from outside reach a container.
set -euo pipefail
rules=/etc/ufw/after.rules
marker='# Fynlo: what may reach containers'

ufw default deny incoming >/dev/null
ufw default allow outgoing >/dev/null
ufw limit 22/tcp comment ssh >/dev/null
ufw allow 80/tcp comment http >/dev/null
ufw allow 443/tcp comment https >/dev/null

outside=$(ip -oneline route show default | sed -nE 's/.* dev ([^ ]+).*/\1/p' | head -1)
[[ -n $outside ]] || { echo "ufw.sh: there is no default route, so which interface is outside?" >&2; exit 2; }

if ! grep -qxF "$marker" "$rules"; then
    # The port is the one asked for, before Docker turns it into the container's.
    cat >>"$rules" <<RULES
$marker
*filter
:DOCKER-USER - [0:0]
-F DOCKER-USER
-A DOCKER-USER -i $outside -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A DOCKER-USER -i $outside -p tcp -m conntrack --ctorigdstport 80 -j RETURN
-A DOCKER-USER -i $outside -p tcp -m conntrack --ctorigdstport 443 -j RETURN
-A DOCKER-USER -i $outside -j DROP
-A DOCKER-USER -j RETURN
COMMIT
# Fynlo: end
RULES
fi
ufw --force enable >/dev/null
ufw reload >/dev/null
# The rules above begin with an empty chain, and fail2ban's bans hang from it too.
systemctl try-restart fail2ban
