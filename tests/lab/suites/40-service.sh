#!/bin/bash
# The daemon's life under systemd: readiness, status, reload, watchdog, stop, capabilities,
# a cluster that is late, a kernel without IPVS.
. "$LAB_IN/check.sh"
. "$LAB_IN/proxylab.sh"
unit=life.service
show() { systemctl show "$unit" -p "$1" --value; }
lines() { journalctl -u "$unit" -o cat --no-pager; }
status() { show StatusText; }
state() { echo "$(show ActiveState) $(show ExecMainStatus) $(show NRestarts)"; }

mkdir -p /etc/life /run/life
install -m 755 "$KR" /usr/sbin/kube-router-life
cat >/run/systemd/system/$unit <<-X
	[Service]
	Type=notify-reload
	ExecStart=/usr/sbin/kube-router-life run --config /etc/life/config.toml
	TimeoutStartSec=30s
	WatchdogSec=30s
	Restart=on-failure
	RestartSec=1s
	RestartPreventExitStatus=2 69 78
X
config() { # config SOURCE: the cluster's source as a line; more keys on standard input
	{
		printf '[node]\nname = "n1"\n[cluster]\n%s\n' "$1"
		cat
	} >/etc/life/config.toml
}
object() { # object SERVICES: a node and so many Services
	local n
	cat <<-X
		apiVersion: v1
		kind: Node
		metadata: {name: n1}
		spec: {podCIDR: 10.244.1.0/24}
		status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
	X
	for ((n = 1; n <= $1; n++)); do
		cat <<-X
			---
			apiVersion: v1
			kind: Service
			metadata: {name: web-$n, namespace: shop}
			spec: {clusterIP: 10.96.0.$n, ports: [{name: web, port: 80, targetPort: 8080}]}
		X
	done
}
ip link add up0 type veth peer name up1
ip addr add 192.0.2.1/24 dev up0
ip link set up0 up && ip link set up1 up
object 3 >/run/life/all.yaml
systemctl daemon-reload

stage "start"
config 'manifests = "/run/life"' </dev/null
ok "systemctl start returns when the node is ready" systemctl start $unit
is "the first pass is complete by then" 3 "$(ipvsadm -S -n | grep -c '^-A -t 10.96.0.')"
is "the pages agree" OK "$(curl -s http://127.0.0.1:20244/readyz)"
becomes 10 "status" "ready: 3 services*, 0 failed; snapshot * s old" status
pid=$(show MainPID)
is "every thread has NET_ADMIN and NET_RAW and nothing else" "0000000000003000" \
	"$(cat /proc/"$pid"/task/*/status | sed -n 's/^Cap\(Prm\|Eff\|Bnd\):\t//p' | sort -u)"
is "threads" "kr-io*links*proxy*" "$(cat /proc/"$pid"/task/*/comm | sort -u | paste -sd' ')"
object 4 >/run/life/.all.yaml && mv /run/life/.all.yaml /run/life/all.yaml
becomes 10 "status follows the cluster" "ready: 4 services*" status

stage "reload"
config 'manifests = "/run/life"' <<<$'[proxy]\nmasquerade_all = true'
ok "reload" systemctl reload $unit
becomes 10 "takes effect" "*proxy.masquerade_all*" iptables -t nat -S KUBE-ROUTER-SVC-MASQ
config 'manifests = "/run/life"' <<<$'[proxy]\nmasquerade_al = true'
ok "reload with a fault" systemctl reload $unit
becomes 10 "status says why" "ready: 4 services*config: new configuration refused: *masquerade_al*" status
is "so does the page" "*config: new configuration refused: */etc/life/config.toml:6:1: *" \
	"$(curl -s 'http://127.0.0.1:20244/readyz?verbose' | paste -sd' ')"
is "so does the log" "*masquerade_al*" "$(lines | grep 'new configuration refused' | tail -1)"
is "the running one stays" "*proxy.masquerade_all*" "$(iptables -t nat -S KUBE-ROUTER-SVC-MASQ)"
config 'manifests = "/elsewhere"' <<<$'[proxy]\nmasquerade_all = true'
ok "reload with a key that needs a restart" systemctl reload $unit
becomes 10 "names the key" "*cluster.manifests can only change with a restart*" status
config 'manifests = "/run/life"' <<<$'[proxy]\nmasquerade_all = true'
ok "reload" systemctl reload $unit
becomes 10 "all is well again" "ready: 4 services*s old" status
is "still the same process" "$pid" "$(show MainPID)"

stage "stop and start"
before=$(ipvsadm -S -n; ip -o addr show dev kube-dummy-if)
ok "stop" systemctl stop $unit
is "ended well" "inactive 0 0" "$(state)"
is "the data path stays" "$before" "$(ipvsadm -S -n; ip -o addr show dev kube-dummy-if)"
ok "start" systemctl start $unit
is "changed nothing" "" "$(lines | sed '1,/stopping/d' | grep ' pass ')"

stage "watchdog"
pid=$(show MainPID)
kill -STOP "$pid"
becomes 120 "a process that hangs is replaced" "active 0 1" state
is "by another one" "no" "$([[ $(show MainPID) == "$pid" ]] && echo yes || echo no)"
systemctl stop $unit

stage "an API server that is not there yet"
cat >/etc/life/kubeconfig <<-X
	apiVersion: v1
	kind: Config
	current-context: c
	contexts: [{name: c, context: {cluster: c, user: u}}]
	clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
	users: [{name: u, user: {}}]
X
config 'kubeconfig = "/etc/life/kubeconfig"' </dev/null
systemctl start --no-block $unit
sleep 45
is "the start goes on past its limit" "activating 0 0" "$(state)"
is "status says what it waits for" "not ready: cluster: *refused*" "$(status)"
is "not ready" 503 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:20244/readyz)"
is "but healthy" 200 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:20244/healthz)"
is "nothing was touched meanwhile" "$before" "$(ipvsadm -S -n; ip -o addr show dev kube-dummy-if)"
ok "stop" systemctl stop $unit

stage "an address that is taken"
config 'manifests = "/run/life"' <<<$'[health]\nlisten = "192.0.2.77:20244"'
fails "start" 1 systemctl start $unit
is "names key and reason" "*health.listen = *192.0.2.77:20244*: cannot listen there: Cannot assign requested address*" \
	"$(lines | grep 'health.listen' | tail -1)"
systemctl stop $unit
systemctl reset-failed $unit 2>/dev/null

stage "a kernel without IPVS"
config 'manifests = "/run/life"' </dev/null
kube-router-life cleanup --config /etc/life/config.toml >/dev/null
iptables -t nat -F && iptables -t nat -X
for module in ip_vs_rr xt_ipvs ip_vs; do rmmod $module 2>/dev/null; done
echo 'install ip_vs /bin/false' >/etc/modprobe.d/no-ipvs.conf
since=$(date +%s)
fails "start" 1 systemctl start $unit
becomes 10 "ends with 69 and is not started again" "failed 69 0" state
is "one message" "this kernel has no IPVS: the module ip_vs is neither built in nor can it be loaded" \
	"$(journalctl -u $unit -o cat --no-pager --since "@$since" _COMM=kube-router-lif)"
rm /etc/modprobe.d/no-ipvs.conf
finish
