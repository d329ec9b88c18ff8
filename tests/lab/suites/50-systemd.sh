#!/bin/bash
# The installed unit and its traffic: hundreds of Services served by the time it is ready,
# the journal's fields, every capability set, packets through a hang and a stop, reloads
# that wait. Needs our package; a manifests directory is the cluster.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"
unit=kube-router.service
manifests=/etc/kube-router/manifests dropin=/run/systemd/system/$unit.d
many=300
show() { systemctl show "$unit" -p "$1" --value; }
journal() { journalctl -u "$unit" --no-pager -o cat "$@"; }
last() { journal | grep -- "$1" | tail -1; }
said() { journalctl --sync; journalctl -t kube-router --no-pager -o json; } # what the daemon itself says
changes() {
	curl -sf http://127.0.0.1:8080/metrics | awk '
		/^kube_router_controller_changes_total/ { sum += $2 } END { print sum + 0 }'
}
state() {
	ipvsadm -S -n | sort
	ip -o addr show dev kube-dummy-if | awk '{ print $4 }' | sort
	ipset save | sed 's/initval [^ ]*//' | sort
	iptables-save | grep -E '^-A|^:KUBE' | sed 's|\[[0-9]*:[0-9]*\]||' | sort
}
web() { ask ext -t 10 10.96.0.1 80; }

stage "the package"
mapfile -t debs < <(find "$LAB_IN/packages" -name '*.deb' | sort -V)
if ((${#debs[@]} == 0)); then
	failed "no package in the payload (suite -d DEB)"
	finish
fi
ok "install" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${debs[0]}"

stage "a node with one pod, and a client outside"
modprobe -a br_netfilter dummy
for peer in "n1p1 10.244.1 11" "ext 10.1.1 100"; do
	read -r name net host <<<"$peer"
	lab_netns "$name"
	ip link add "to-$name" type veth peer name eth0 netns "$name"
	ip addr add "$net.1/24" dev "to-$name"
	ip link set "to-$name" up
	ip -n "$name" addr add "$net.$host/24" dev eth0
	ip -n "$name" link set eth0 up
	ip -n "$name" route add default via "$net.1"
done
sysctl -qw net.ipv4.ip_forward=1
mkdir -p /run/lab
ok "the pod serves on 8080" lab_serve 8080 n1p1
mkdir -p $manifests
cat >$manifests/web.yaml <<-X
	apiVersion: v1
	kind: Node
	metadata: {name: n1}
	spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24]}
	status: {addresses: [{type: InternalIP, address: 10.1.1.1}]}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: web, namespace: shop}
	spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 80, targetPort: 8080}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
	addressType: IPv4
	ports: [{port: 8080}]
	endpoints: [{addresses: [10.244.1.11], nodeName: n1}]
X
for ((i = 0; i < many; i++)); do
	ip=10.96.$((1 + i / 250)).$((i % 250 + 1))
	printf 'apiVersion: v1\nkind: Service\nmetadata: {name: many-%d, namespace: many}\n' $i
	printf 'spec: {clusterIP: %s, clusterIPs: [%s], ports: [{port: 80}]}\n---\n' $ip $ip
done >$manifests/many.yaml
cat >/etc/kube-router/config.toml <<-X
	[node]
	name = "n1"
	[cluster]
	manifests = "$manifests"
	service_cluster_ip_range = ["10.96.0.0/16"]
	[metrics]
	listen = "127.0.0.1:8080"
X
ok "configuration" kube-router check-config

stage "ready means programmed"
# A short watchdog for all that follows; it must never bite a daemon that works.
mkdir -p $dropin
printf '[Service]\nWatchdogSec=15s\nRestartSec=1s\n' >$dropin/lab.conf
systemctl daemon-reload
ok "start" systemctl start "$unit"
is "every virtual service is there" $((many + 1)) "$(ipvsadm -S -n | grep -c -- '^-A')"
is "every address too" $((many + 1)) "$(ip -o -4 addr show dev kube-dummy-if | wc -l)"
is "answers" "1x n1p1 *" "$(web)"
is "status with counts" "ready: *$((many + 1)) services*0 failed*" "$(show StatusText)"
becomes 10 "/readyz" 200 curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:20244/readyz
is "as systemd sees it" "active running" "$(show ActiveState) $(show SubState)"

stage "capabilities"
pid=$(show MainPID)
tasks=(/proc/"$pid"/task/*)
ok "several threads" test ${#tasks[@]} -ge 4
for set in Inh Prm Eff Bnd Amb; do # CAP_NET_ADMIN is bit 12, CAP_NET_RAW bit 13
	# The bounding set keeps bit 10, CAP_NET_BIND_SERVICE, which is given up where no BGP is spoken.
	want=0000000000003000
	[[ $set != Bnd ]] || want=0000000000003400
	is "Cap$set of every thread" $want \
		"$(awk "/^Cap$set/ { print \$2 }" /proc/"$pid"/task/*/status | sort -u | paste -sd' ')"
done
is "user" kube-router "$(stat -c %U /proc/"$pid")"

stage "the journal's fields"
cat >$manifests/odd.yaml <<-X
	apiVersion: v1
	kind: Service
	metadata: {name: odd, namespace: shop}
	spec: {clusterIP: 10.96.99.1, clusterIPs: [10.96.99.1], ports: [{port: 81}, {port: 4294967296}]}
X
noted() { said | jq -r 'select((.OBJECT // "") | test("shop/odd")) | "\(.OBJECT) \(.KEY) \(.REASON)"' | tail -1; }
becomes 10 "object, key, reason" "Service shop/odd spec.ports*port* ?*" noted
is "its good port is there" "-A -t 10.96.99.1:81 *" "$(ipvsadm -S -n | grep -- '-A -t 10.96.99.1:')"
is "messages without the journal's fields tell it too" "*shop/odd*" "$(last shop/odd)"
rm $manifests/odd.yaml
becomes 10 "gone" $((many + 1)) sh -c "ipvsadm -S -n | grep -c -- '^-A'"

stage "the watchdog"
is "no restart so far" 0 "$(show NRestarts)"
full=$(state)
kill -STOP "$pid"
becomes 60 "a daemon that hangs is restarted" 1 show NRestarts
is "the reason" "*atchdog*" "$(last atchdog)"
is "the data path goes on" "1x n1p1 *" "$(web)"
running() { [[ $(show ActiveState) == active && $(show MainPID) != "$pid" ]]; }
ok "another process is ready" eventually 60 running
is "it changed nothing" 0 "$(changes)"
is "the kernel is as it was" "$full" "$(state)"

stage "stop and start"
ok "stop" systemctl stop "$unit"
is "a clean end" "inactive 0" "$(show ActiveState) $(show ExecMainStatus)"
is "the data path stays" "1x n1p1 *" "$(web)"
is "the kernel is as it was" "$full" "$(state)"
if (($(systemctl --version | awk 'NR == 1 { print $2 }') >= 253)); then
	echo 'Type=notify-reload' >>$dropin/lab.conf
	systemctl daemon-reload
fi
ok "start" systemctl start "$unit"
is "changes made" 0 "$(changes)"
ok "reload, with Type=$(show Type)" systemctl reload "$unit"
becomes 10 "active" "active running" sh -c "systemctl show $unit -p ActiveState -p SubState --value | paste -sd' '"
ok "stop" systemctl stop "$unit"

if ((lab_failed)); then journal -n 60; fi
finish
