#!/usr/bin/env bash
# Make a fresh Debian or Ubuntu server ready for Fynlo: deploy/host/bootstrap.sh, as root. Repeat it at will:
# it changes only what is not yet so, and says each thing that it changes.
#
#   DEPLOY_PUBLIC_KEY='ssh-ed25519 …'   the key that deployments come with; once it is there, ssh takes no passwords
#   FIREWALL=ufw|nftables|none          which of the two firewalls (ufw)
#   DESTDIR=/somewhere                  write the files there and touch nothing else, for a look at them
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
destdir=${DESTDIR:-}
firewall=${FIREWALL:-ufw}

say() { echo "bootstrap: $*"; }
fail() { echo "bootstrap: $*" >&2; exit 2; }

# put SOURCE TARGET MODE: true when the file was not yet so.
put() {
    local target=$destdir$2
    if cmp --silent "$1" "$target" && [[ $(stat --format %a "$target") == "$3" ]]; then
        return 1
    fi
    say "writing $2"
    install -D --mode "$3" "$1" "$target"
}

# directory PATH MODE OWNER
directory() {
    local path=$destdir$1 owner=$3
    [[ -z $destdir ]] || owner=$(id -u):$(id -g)
    if [[ ! -d $path || $(stat --format '%a %u:%g' "$path") != "$2 $(numeric "$owner")" ]]; then
        say "making $1"
        install --directory --mode "$2" --owner "${owner%:*}" --group "${owner#*:}" "$path"
    fi
}

numeric() {
    local user=${1%:*} group=${1#*:}
    [[ $user == [0-9]* ]] || user=$(id -u "$user")
    [[ $group == [0-9]* ]] || group=$(getent group "$group" | cut -d: -f3)
    echo "$user:$group"
}

install_packages() {
    local wanted=(ca-certificates curl fail2ban openssl python3 python3-systemd logrotate unattended-upgrades)
    [[ $firewall == none ]] || wanted+=("$firewall")
    command -v docker >/dev/null || wanted+=(docker.io)
    local missing=() package
    for package in "${wanted[@]}"; do
        dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
    done
    if [[ ${#missing[@]} -gt 0 ]]; then
        say "installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
    docker compose version >/dev/null 2>&1 && return
    # Under three names; the old docker-compose (1.x) is none of them.
    for package in docker-compose-v2 docker-compose-plugin docker-compose; do
        if apt-cache policy "$package" | grep -Eq 'Candidate: [0-9]*:?[2-9]'; then
            say "installing $package"
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
            break
        fi
    done
    docker compose version >/dev/null 2>&1 ||
        fail "there is no 'docker compose' (version 2 or later) for this system: install Docker's own packages, then repeat this."
}

make_deploy_user() {
    if ! id deploy >/dev/null 2>&1; then
        say "adding the user deploy"
        useradd --create-home --shell /bin/bash deploy
    fi
    id --name --groups deploy | grep -qw docker || usermod --append --groups docker deploy
    if [[ -n ${DEPLOY_PUBLIC_KEY:-} ]] && ! grep -qxF "$DEPLOY_PUBLIC_KEY" ~deploy/.ssh/authorized_keys 2>/dev/null; then
        say "letting the deployment's key in"
        install --directory --mode 0700 --owner deploy --group deploy ~deploy/.ssh
        echo "$DEPLOY_PUBLIC_KEY" >>~deploy/.ssh/authorized_keys
        chown deploy:deploy ~deploy/.ssh/authorized_keys
        chmod 0600 ~deploy/.ssh/authorized_keys
    fi
}

# Nobody is locked out: passwords end only where root or deploy has a key.
close_ssh_to_passwords() {
    if [[ -s /root/.ssh/authorized_keys || -s ~deploy/.ssh/authorized_keys ]]; then
        if put "$here/sshd.conf" /etc/ssh/sshd_config.d/50-fynlo.conf 644 && sshd -t; then
            systemctl try-reload-or-restart ssh
        fi
    else
        say "no ssh key is here: passwords stay allowed. Set DEPLOY_PUBLIC_KEY and repeat."
    fi
}

start_firewall() {
    case $firewall in
        ufw) "$here/ufw.sh" ;;
        nftables)
            if put "$here/nftables.conf" /etc/nftables.d/fynlo.nft 644; then
                nft --check --file /etc/nftables.d/fynlo.nft
            fi
            systemctl enable --quiet --now fynlo-firewall.service
            ;;
        none) ;;
        *) fail "FIREWALL is ufw, nftables or none, not $firewall." ;;
    esac
}

[[ -n $destdir || $EUID -eq 0 ]] || fail "needs root."
if [[ -z $destdir ]]; then
    command -v apt-get >/dev/null || fail "is for Debian and Ubuntu."
    install_packages
    make_deploy_user
fi

deploy=deploy:deploy
directory /opt/fynlo 755 "$deploy"
directory /etc/fynlo 755 root:root
directory /etc/fynlo/secrets 711 root:root
directory /var/log/fynlo 755 root:root
directory /var/log/fynlo/nginx 755 root:root

put "$here/sysctl.conf" /etc/sysctl.d/60-fynlo.conf 644 && sysctl_changed=1
put "$here/logrotate.conf" /etc/logrotate.d/fynlo 644 || true
put "$here/fail2ban/jail.local" /etc/fail2ban/jail.d/fynlo.local 644 && fail2ban_changed=1
for filter in "$here"/fail2ban/filter.d/*.conf; do
    put "$filter" "/etc/fail2ban/filter.d/${filter##*/}" 644 && fail2ban_changed=1
done
for unit in "$here"/systemd/*; do
    put "$unit" "/etc/systemd/system/${unit##*/}" 644 && units_changed=1
done
# Only where nobody has decided otherwise.
[[ -e $destdir/etc/docker/daemon.json ]] || { put "$here/docker.json" /etc/docker/daemon.json 644 && docker_changed=1; }

if [[ -z $destdir ]]; then
    [[ -z ${sysctl_changed:-} ]] || sysctl --quiet --load /etc/sysctl.d/60-fynlo.conf
    [[ -z ${units_changed:-} ]] || systemctl daemon-reload
    [[ -z ${docker_changed:-} ]] || systemctl restart docker
    systemctl enable --quiet --now docker fail2ban
    systemctl enable --quiet fynlo.service
    systemctl enable --quiet --now fynlo-certbot.timer
    # A log that is not there yet keeps fail2ban from starting.
    touch /var/log/fynlo/nginx/security.log
    start_firewall
    [[ -z ${fail2ban_changed:-} ]] || systemctl restart fail2ban
    close_ssh_to_passwords
fi
say "done."
