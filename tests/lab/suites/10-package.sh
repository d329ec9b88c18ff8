#!/bin/bash
# The package: installation, unit, upgrade, removal, purge. Needs two versions of it.
. "$LAB_IN/check.sh"
export DEBIAN_FRONTEND=noninteractive
mapfile -t debs < <(find "$LAB_IN/packages" -name '*.deb' | sort -V)
unit=kube-router.service
show() { systemctl show "$unit" -p "$1" --value; }
mode() { stat -c '%a %U:%G' "$1"; }
left() { find / -xdev \( -path /proc -o -path /sys -o -path /lab -o -path /var/log -o -path /tmp \) -prune -o \
	-name '*kube-router*' -print -o -name '*kuberouter*' -print; }

stage "installation"
is "packages to test" 2 "${#debs[@]}"
is "nothing there before" "" "$(left)"
ok "install" apt-get install -y -q --no-install-recommends "${debs[0]}"
is "says what to do next" "*kube-router check-config*systemctl enable --now kube-router*" "$(cat "$LAB_OUT/.output")"
is "user" "kube-router:x:*:/var/lib/kube-router:*nologin" "$(getent passwd kube-router)"
is "configuration" "644 root:root" "$(mode /etc/kube-router/config.toml)"
ok "place for drop-ins" test -d /etc/kube-router/config.d
is "conffiles" "/etc/cni/net.d/10-kuberouter.conflist /etc/iproute2/rt_protos.d/kube-router.conf \
/etc/iproute2/rt_tables.d/kube-router.conf /etc/kube-router/config.toml" \
	"$(dpkg-query -W -f '${Conffiles}\n' kube-router | awk 'NF { print $1 }' | sort | paste -sd' ')"
is "manuals" "*man5/kube-router.toml.5.gz*man8/kube-router.8.gz*" \
	"$(dpkg-deb -c "${debs[0]}" | grep -o 'man[58]/.*' | paste -sd' ')"
is "neither enabled nor started" "disabled inactive" "$(show UnitFileState) $(show ActiveState)"
ok "its configuration is valid" kube-router check-config
ok "the CNI file is JSON" jq -e '.plugins[0].bridge == "kube-bridge"' /etc/cni/net.d/10-kuberouter.conflist
ok "a route under our names" ip route add 203.0.113.0/24 dev lo proto kube-router table kube-router
is "it is shown so" "203.0.113.0/24 dev lo proto kube-router*" "$(ip route show table kube-router)"
ok "and goes" ip route delete 203.0.113.0/24 proto 77 table 77
is "lock of iptables-legacy" "640 root:kube-router" "$(mode /run/xtables.lock)"
ok "iptables-legacy as the service's user" setpriv --reuid=kube-router --regid=kube-router --clear-groups \
	--inh-caps=+net_admin,+net_raw --ambient-caps=+net_admin,+net_raw iptables-legacy -w -nL
is "networkd leaves routes alone" "*ManageForeignRoutes=no*" \
	"$(systemd-analyze cat-config systemd/networkd.conf | grep -v '^#' | paste -sd' ')"
ok "modules load" systemctl restart systemd-modules-load
is "modules" "br_netfilter dummy ip_vs" \
	"$(lsmod | awk '{ print $1 }' | grep -xE 'br_netfilter|dummy|ip_vs' | sort | paste -sd' ')"

stage "unit"
is "systemd-analyze verify" "" "$(systemd-analyze verify --man=no "$unit" 2>&1 | grep kube-router)"
exposure=$(systemd-analyze security "$unit" --no-pager | grep -o 'exposure level.*')
is "exposure below 3" "exposure level for $unit: [0-2].*" "$exposure"
is "capabilities" "cap_net_bind_service cap_net_admin cap_net_raw cap_net_bind_service cap_net_admin cap_net_raw" \
	"$(show AmbientCapabilities) $(show CapabilityBoundingSet)"
is "user of the unit" kube-router "$(show User)"

stage "a configuration with faults: one start, one message, no loop"
echo 'nonsense = 1' >/etc/kube-router/config.d/10-bad.toml
fails "check-config" 1 kube-router check-config
is "names file and key" "*10-bad.toml*nonsense*" "$(paste -sd' ' "$LAB_OUT/.output")"
fails "start" 1 systemctl start "$unit"
state() { echo "$(show ActiveState) $(show ExecMainStatus) $(show NRestarts)"; }
becomes 10 "refused as a bad configuration, not started again" "failed 78 0" state
rm /etc/kube-router/config.d/10-bad.toml
systemctl reset-failed "$unit"

stage "upgrade"
sed -i 's/^#name = ""/name = "changed-by-hand"/' /etc/kube-router/config.toml
ok "upgrade" apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-confold "${debs[1]}"
is "version" "$(dpkg-deb -f "${debs[1]}" Version)" "$(dpkg-query -W -f '${Version}' kube-router)"
is "configuration kept" 'name = "changed-by-hand"' "$(grep ^name /etc/kube-router/config.toml)"
is "still not started" "disabled inactive" "$(show UnitFileState) $(show ActiveState)"

stage "removal and purge"
echo secret >/etc/kube-router/kubeconfig
ok "remove" apt-get remove -y -q kube-router
ok "configuration stays" test -e /etc/kube-router/config.toml
ok "purge" apt-get purge -y -q kube-router
is "files left" "" "$(left)"
is "failed units" "" "$(systemctl --failed --no-legend)"
finish
