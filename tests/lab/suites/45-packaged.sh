#!/bin/bash
# The packaged service with its user and its confinement: start, changes, reload,
# watchdog, upgrade while it runs, a kernel without IPVS. Needs two versions of the
# package; 40-service.sh has the finer points of the daemon's life.
. "$LAB_IN/check.sh"
export DEBIAN_FRONTEND=noninteractive
mapfile -t debs < <(find "$LAB_IN/packages" -name '*.deb' | sort -V)
unit=kube-router.service
show() { systemctl show "$unit" -p "$1" --value; }
log() { journalctl -u "$unit" --no-pager -o cat "$@"; }
state() { echo "$(show ActiveState) $(show ExecMainStatus) $(show NRestarts)"; }
servers() { ipvsadm -S -n | grep -c -- '^-A'; }
manifests=/etc/kube-router/manifests

configure() { # configure SOURCE: key and value for [cluster]; more on standard input
	cat >/etc/kube-router/config.d/50-lab.toml <<-X
		[node]
		name = "n1"
		[cluster]
		$1
		service_external_ip_range = ["203.0.113.0/24"]
	X
	cat >>/etc/kube-router/config.d/50-lab.toml
}

stage "start"
# Times are for an emulated machine that is busy with other things.
mkdir -p /etc/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=20s\n' >/etc/systemd/system/$unit.d/lab.conf
ok "install" apt-get install -y -q --no-install-recommends "${debs[0]}"
ip link add eth0 type dummy
ip link set eth0 up
ip addr add 10.1.1.1/24 dev eth0
ip addr add fd01:1::1/64 dev eth0 nodad
mkdir $manifests
cp "$LAB_IN"/sample/*.yaml $manifests
configure "manifests = \"$manifests\"" </dev/null
ok "start" systemctl start $unit
is "status" "*2 services*0 failed*" "$(show StatusText)"
# IPv4 alone is the default: web by three addresses, dns by two protocols.
is "virtual servers" 5 "$(servers)"
pid=$(show MainPID)
is "user" kube-router "$(ps -o user= -p "$pid")"
# Bits 12 and 13: CAP_NET_ADMIN and CAP_NET_RAW. Bit 10, CAP_NET_BIND_SERVICE, is given up where
# no BGP is spoken; of the bounding set that takes a right the daemon has not got.
is "capabilities, effective and bounding" "0000000000003000 0000000000003400" \
	"$(awk '/^Cap(Eff|Bnd)/ { print $2 }' "/proc/$pid/status" | paste -sd' ')"
is "no new privileges" 1 "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$pid/status")"
ok "healthy" curl -sSf http://127.0.0.1:20244/healthz
ok "ready" curl -sSf http://127.0.0.1:20244/readyz
is "complaints of the kernel's tools or of the confinement" "" \
	"$(log | grep -iE 'permission denied|not permitted' | head -3)"

stage "manifests change"
sed '/10.244.2.11/d' "$LAB_IN/sample/10-web.yaml" >$manifests/.new
mv $manifests/.new $manifests/10-web.yaml
behind() { ipvsadm -Ln -t 10.96.0.80:80 | grep -c 'Masq *1 '; }
becomes 20 "an endpoint less" 2 behind
cp "$LAB_IN/sample/10-web.yaml" $manifests/10-web.yaml
becomes 20 "and back" 3 behind

stage "reload"
before=$(ipvsadm -S -n | sort)
echo 'nonsense = 1' >/etc/kube-router/config.d/90-bad.toml
ok "reload with a bad configuration" systemctl reload $unit
said() { log | grep -q nonsense; }
ok "says what is wrong" eventually 20 said
is "the same process" "$pid" "$(show MainPID)"
ok "the same table" test "$before" = "$(ipvsadm -S -n | sort)"
rm /etc/kube-router/config.d/90-bad.toml
configure "manifests = \"$manifests\"" <<-X
	[proxy]
	tcp_timeout = "17m"
X
ok "reload with a good one" systemctl reload $unit
timeout_set() { ipvsadm -l --timeout | grep -q '1020'; }
ok "applied" eventually 20 timeout_set
is "the same process still" "$pid" "$(show MainPID)"

stage "hang: the watchdog"
kill -STOP "$pid"
restarted() { [[ $(show NRestarts) -ge 1 && $(show ActiveState) == active ]]; }
ok "restarted" eventually 120 restarted
is "the journal says why" "*atchdog timeout*" "$(log | grep -i 'watchdog timeout' | head -1)"
ok "the same table" test "$before" = "$(ipvsadm -S -n | sort)"

stage "upgrade while it runs"
pid=$(show MainPID)
ok "upgrade" apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-confold "${debs[1]}"
other() { [[ $(show MainPID) != "$pid" && $(show ActiveState) == active ]]; }
ok "another process" eventually 60 other
ok "the same table" test "$before" = "$(ipvsadm -S -n | sort)"

stage "stop"
ok "stop" systemctl stop $unit
is "ended by itself" "inactive 0" "$(show ActiveState) $(show ExecMainStatus)"
ok "the data path stays" test "$before" = "$(ipvsadm -S -n | sort)"
ok "cleanup" kube-router cleanup
is "nothing of ours is left" "" "$(ipvsadm -S -n; ip link show kube-dummy-if 2>/dev/null)"

stage "a kernel without IPVS: one message, no loop"
iptables -t nat -F && iptables -t nat -X
for module in ip_vs_rr xt_ipvs ip_vs; do rmmod $module 2>/dev/null; done
echo 'install ip_vs /bin/false' >/etc/modprobe.d/no-ipvs.conf
is "module" "" "$(lsmod | grep -w ^ip_vs)"
since=$(date +%s)
fails "start" 1 systemctl start $unit
becomes 20 "refused, not started again" "failed 69 0" state
is "one message" 1 "$(log --since "@$since" _COMM=kube-router | grep -c 'this kernel has no IPVS')"
systemctl reset-failed $unit
is "failed units" "" "$(systemctl --failed --no-legend)"
finish
