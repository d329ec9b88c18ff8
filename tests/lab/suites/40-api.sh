#!/bin/bash
# The daemon on an API server: changes, two servers, an outage, faults, another
# kubeconfig, broken objects, restarts, and network policy meanwhile. Needs
# test-apiserver in $LAB_IN/bin.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"
. "$LAB_IN/proxylab.sh"

FIRST=10.1.2.200 SECOND=10.1.2.201 KUBECONFIG=/run/lab/n1/kubeconfig
log=/run/lab/n1/daemon.log

api_start() { # api_start: one process with two addresses; a new certificate authority each time
	rm -f /run/lab/api/log
	# Not by ns: a function in the background is a shell of its own, and $! would be that.
	ip netns exec api "$LAB_IN/bin/test-apiserver" --tls --auth token --credentials token \
		--listen "$FIRST:6443" --listen "$SECOND:6443" --name "$FIRST" --name "$SECOND" \
		--control 127.0.0.1:8081 --bookmarks 5 --manifests /run/lab/manifests \
		--kubeconfig-out /run/lab/api/kubeconfig >/run/lab/api/log 2>&1 &
	echo $! >/run/lab/api/pid
	eventually 30 grep -q '^ready' /run/lab/api/log || { cat /run/lab/api/log; return 1; }
}
control() { ns api curl -sSf -m 10 -X "$1" "http://127.0.0.1:8081$2" "${@:3}"; }
apply() { control POST /apply --data-binary @- >/dev/null; }
fault() { control POST /faults -H 'Content-Type: application/json' -d "$1" >/dev/null; }
replace() { cat >"$KUBECONFIG.new" && mv "$KUBECONFIG.new" "$KUBECONFIG"; }
cut_off() { # cut_off ADDRESS: as if nobody listened there
	ns api iptables -I INPUT -p tcp -d "$1" --dport 6443 -j REJECT --reject-with tcp-reset
	ns api ss -K -t state established "src = $1:6443" >/dev/null
}
let_in() { ns api iptables -D INPUT -p tcp -d "$1" --dport 6443 -j REJECT --reject-with tcp-reset; }
watches() { ns n1 ss -Htn state established "dst = $1:6443" | wc -l; }

page() { ns n1 curl -s -m 5 -w '%{http_code}' "http://127.0.0.1:20244/$1" | paste -sd' '; }
web() { ask ext -t 10 203.0.113.3 80; }
same() { [[ $(proxy_state n1) == "$full" ]]; }
changes() { proxy_metric n1 kube_router_controller_changes_total; }
settled() { # the number of changes once it stays: a pass counts what it did at its end
	local last now
	now=$(changes)
	while [[ $now != "${last:-}" ]]; do
		last=$now
		sleep 1
		now=$(changes)
	done
	echo "$now"
}
told() { grep -h -- "$1" "$log" | tail -1; }
marker() { # marker PORT: a Service that shows whether a change has arrived
	apply <<-X
		apiVersion: v1
		kind: Service
		metadata: {name: marker, namespace: truth}
		spec: {clusterIP: 10.96.0.77, clusterIPs: [10.96.0.77], ports: [{port: $1}]}
	X
}
pods() { # pods NAME...: those of n1, with their names as labels
	local name
	for name; do
		cat <<-Y
			apiVersion: v1
			kind: Pod
			metadata: {name: $name, namespace: truth, labels: {app: $name}}
			spec: {nodeName: n1, containers: [{name: main}]}
			status:
			  phase: Running
			  podIP: 10.244.1.1${name#n1p}
			  podIPs: [{ip: 10.244.1.1${name#n1p}}, {ip: 'fd02:1::1${name#n1p}'}]
			---
		Y
	done
}
policies() { # the second pod is closed to the pods of n3
	cat <<-Y
		apiVersion: v1
		kind: Namespace
		metadata: {name: truth}
		---
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: guard, namespace: truth}
		spec:
		  podSelector: {matchLabels: {app: n1p2}}
		  ingress:
		  - from:
		    - ipBlock: {cidr: 0.0.0.0/0, except: [10.244.3.0/24]}
		    - ipBlock: {cidr: '::/0', except: ['fd02:3::/64']}
	Y
}
asked() { # asked CLIENT POD: by both families
	echo "$(ask "$1" -t 10 "10.244.1.1${2#n1p}" 8080) $(ask "$1" -t 10 "fd02:1::1${2#n1p}" 8080)"
}
guarded() { # guarded WHEN: the policy is in force
	is "$1: a policy refuses" "1x refused 1x refused" "$(asked n3p1 n1p2)"
	is "$1: and lets pass" "1x n1p2 * 1x n1p2 *" "$(asked ext n1p2)"
}
rules() { # what the kernel holds of network policy
	# The owner of a table is a process: while none runs, or another, the flags differ.
	ns n1 nft list table inet kube-router-netpol | sed '/^\tflags /d; s/ *# .*//; s/{ *$/{/'
}
same_rules() { [[ $(rules) == "$programmed" ]]; }
marked() { ns n1 ipvsadm -S -n | awk '$3 ~ /^10\.96\.0\.77:/ { sub(".*:", "", $3); print $3 }' | paste -sd' '; }

stage "topology, API server, the daemon"
ok "nodes, pods, client" proxy_topology
ok "pods serve on 8080" lab_serve 8080 n1p1 n1p2 n2p1 n2p2 n3p1
lab_client api 2 200
ip -n api addr add $SECOND/24 dev eth0
python3 "$LAB_IN/truth.py" manifests /run/lab/manifests
# In the files, so that a server started anew has them too.
{ pods n1p1 n1p2; policies; } >/run/lab/manifests/policy.yaml
mkdir -p /run/lab/api
ok "test API server, TLS, on two addresses" api_start
replace </run/lab/api/kubeconfig
cat >/run/lab/n1/config.toml <<X
[node]
name = "n1"
enable_ipv6 = true
[cluster]
kubeconfig = "$KUBECONFIG"
api_servers = ["https://$FIRST:6443", "https://$SECOND:6443"]
service_cluster_ip_range = ["10.96.0.0/16", "fd96::/108"]
service_external_ip_range = ["203.0.113.0/24", "2001:db8:1::/64"]
loadbalancer_ip_range = ["198.51.100.0/24", "2001:db8:2::/64"]
[proxy]
sync_period = "3s"
[netpol]
enabled = true
backend = "nftables"
default_deny = true
[metrics]
listen = "127.0.0.1:8080"
X
ok "configuration" "$KR" check-config /run/lab/n1/config.toml
ok "ready" proxy_start n1
is "answers" "1x n*p*" "$(web)"
guarded "at first"
is "nothing failed" 0 "$(proxy_metric n1 kube_router_controller_failures_total)"
marker 80
becomes 10 "a new object" 80 marked
marker 81
becomes 10 "a changed object" 81 marked
control DELETE /api/v1/namespaces/truth/services/marker >/dev/null
becomes 10 "a deleted object" "" marked
marker 80
becomes 10 "and again" 80 marked
full=$(proxy_state n1)
before=$(settled)
sleep 10
is "an unchanged cluster is left alone" 0 "$(($(changes) - before))"

stage "one of two servers goes away"
ok "the first is used" test "$(watches $FIRST)" -gt 0
cut_off $FIRST
becomes 20 "no connection to the first" 0 watches $FIRST
marker 82
becomes 20 "a change comes by the second" 82 marked
ok "connections to the second" test "$(watches $SECOND)" -gt 0
becomes 10 "ready" "OK 200" page readyz
let_in $FIRST
cut_off $SECOND
marker 80
becomes 20 "a change comes by the first" 80 marked
becomes 10 "ready" "OK 200" page readyz
let_in $SECOND

stage "both go away for several sync periods"
before=$(settled)
programmed=$(rules)
ok "rules stand" grep -q KUBE-ROUTER-FORWARD <<<"$programmed"
cut_off $FIRST
cut_off $SECOND
becomes 20 "/readyz names the source" "Not ready *cluster: *Services: https://10.1.2.20?:6443*503" page readyz
is "/healthz: the process itself is well" "OK 200" "$(page healthz)"
told_at=$SECONDS
while ((SECONDS - told_at < 12)); do
	[[ $(web) == "1x n"* ]] || failed "no answer during the outage"
	sleep 1
done
is "answers all the time" "1x n*p*" "$(web)"
guarded "meanwhile"
ok "a pod comes meanwhile" lab_pod n1 n1p3 13
ok "it serves" lab_serve 8080 n1p3
is "nobody reaches it" "1x refused 1x refused" "$(asked ext n1p3)"
ok "the rules are as they were" same_rules
ok "the kernel is as it was" same
is "the log says so" "*not watching, the last objects stay*" "$(told 'not watching')"
ip -n n1 addr del 203.0.113.3/32 dev kube-dummy-if
ok "what others change is repaired meanwhile" eventually 30 same
same || diff <(echo "$full") <(proxy_state n1)
let_in $FIRST
let_in $SECOND
becomes 30 "comes back by itself" "OK 200" page readyz
is "changes but for that repair" 0 "$(($(changes) - before - 1))"
marker 83
becomes 20 "and hears of changes" 83 marked
marker 80
becomes 20 "back" 80 marked

stage "a server that misbehaves"
port=90
for kind in garbage gone goneEvent reset truncate status stall silent mute slow; do
	port=$((port + 1))
	before=$(settled)
	fault "{\"kind\": \"$kind\", \"status\": 500, \"afterBytes\": 0, \"bytesPerSecond\": 10}"
	sleep 4
	is "$kind: answers" "1x n*p*" "$(web)"
	is "$kind: no change" 0 "$(($(changes) - before))"
	control DELETE /faults >/dev/null
	marker $port
	becomes 40 "$kind: a change comes when it is over" $port marked
	becomes 40 "$kind: ready" "OK 200" page readyz
	is "$kind: a policy refuses" "1x refused 1x refused" "$(asked n3p1 n1p2)"
done
control POST /compact >/dev/null
fault '{"kind": "gone", "verb": "watch", "times": 3}'
marker 80
becomes 30 "410 to every watch: listed anew" 80 marked
ok "the kernel is as it was" same

stage "another kubeconfig"
before=$(settled)
echo 'clusters: [broken' | replace
becomes 20 "a broken one is told" "*kubeconfig cannot be used*" told "kubeconfig cannot be used"
becomes 10 "on /readyz too" "Not ready *kubeconfig*503" page readyz
marker 84
becomes 10 "the old one stays in use" 84 marked
sed 's/token:.*/token: wrong/' /run/lab/api/kubeconfig | replace
becomes 20 "one that is not let in" "*new kubeconfig is not used*401*" told "not used"
marker 80
becomes 10 "the old one stays in use" 80 marked
rm "$KUBECONFIG"
becomes 20 "none at all" "*kubeconfig*No such file*" told "No such file"
replace </run/lab/api/kubeconfig
becomes 20 "the valid one again" "OK 200" page readyz
ok "the kernel is as it was" same
kill "$(</run/lab/api/pid)"
wait "$(</run/lab/api/pid)"
becomes 20 "the server is gone" "Not ready *503" page readyz
ok "one with another certificate authority takes its place" api_start
marker 80
becomes 20 "it is not trusted" "*ertificate*" told "ertificate"
is "answers" "1x n*p*" "$(web)"
replace </run/lab/api/kubeconfig
becomes 40 "ready with its kubeconfig" "OK 200" page readyz
marker 85
becomes 20 "and hears of changes" 85 marked
marker 80
becomes 20 "back" 80 marked
ok "the kernel is as it was" same

stage "broken objects among good ones"
python3 - <<'X' | apply
for n in range(200):
    print(f"""apiVersion: v1
kind: Service
metadata: {{name: many-{n}, namespace: many}}
spec: {{clusterIP: 10.96.16.{n + 1}, clusterIPs: [10.96.16.{n + 1}], ports: [{{port: 80}}]}}
---""")
print("""apiVersion: v1
kind: Service
metadata: {name: huge, namespace: many}
spec: {clusterIP: 10.96.99.1, ports: [{port: 4294967296}, {port: null}, {port: [1]}, {port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: odd, namespace: many}
spec: {clusterIP: {a: b}, ports: 7, externalIPs: no}
---
apiVersion: v1
kind: Service
metadata: {name: younger, namespace: many, creationTimestamp: "2025-01-01T00:00:00Z"}
spec: {clusterIP: 10.96.0.3, ports: [{name: web, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: odd, namespace: truth, labels: {kubernetes.io/service-name: s3}}
addressType: IPv4
ports: [{name: web, port: 8080}]
endpoints: [{addresses: ["fd00::1"]}, {addresses: ["999.1.1.1"]}, {addresses: [127.0.0.1]}, {addresses: null}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: odder, namespace: truth, labels: {kubernetes.io/service-name: s3}}
addressType: 4
ports: {}
endpoints: "none" """)
X
many() { ns n1 ipvsadm -S -n | grep -cE '^-A -t 10\.96\.(16|99)\.'; }
becomes 30 "the good ones are there" 201 many
becomes 10 "one is told" "*many/odd*" told many/odd
becomes 10 "another" "*many/younger*10.96.0.3:80*" told many/younger
is "the older Service keeps its address" "1x n*p*" "$(ask n1p1 -t 10 10.96.0.3 80)"
is "no bad endpoint" "" "$(ns n1 ipvsadm -S -n | grep -E '127.0.0.1:8080|fd00::1')"
is "listed as left out" "*left out: *many/odd*" "$(page 'readyz?verbose')"
becomes 10 "ready" "OK 200" page readyz
full=$(proxy_state n1)

stage "a restart with an unchanged cluster"
ok "stops" proxy_stop n1
ok "the kernel is as it was" same
ok "starts, broken objects and all" proxy_start n1
is "changes made" 0 "$(changes)"
ok "the kernel is as it was" same

stage "a start without the API server"
ok "stops" proxy_stop n1
cut_off $FIRST
cut_off $SECOND
ip netns exec n1 "$KR" run --config /run/lab/n1/config.toml >>"$log" 2>&1 &
echo $! >/run/lab/n1/pid
becomes 20 "not ready, and says what it waits for" "Not ready *cluster*503" page readyz
sleep 5
is "answers by what the last one left" "1x n*p*" "$(web)"
guarded "by what the last one left"
is "a pod that nobody knows stays closed" "1x refused 1x refused" "$(asked ext n1p3)"
kill -KILL "$(</run/lab/n1/pid)"
wait "$(</run/lab/n1/pid)"
guarded "killed"
ip netns exec n1 "$KR" run --config /run/lab/n1/config.toml >>"$log" 2>&1 &
echo $! >/run/lab/n1/pid
becomes 20 "once more" "Not ready *cluster*503" page readyz
guarded "once more"
ok "the rules are as they were" same_rules
ok "the kernel is as it was" same
let_in $FIRST
let_in $SECOND
becomes 30 "ready when it comes" "OK 200" page readyz
is "changes made" 0 "$(changes)"
ok "the rules are as they were" same_rules
ok "the kernel is as it was" same
pods n1p3 | apply
becomes 20 "the pod is known: open" "1x n1p3 * 1x n1p3 *" asked ext n1p3
guarded "at last"
is "no panic" 0 "$(grep -c panic "$log")"
if ((lab_failed)); then grep -v DEBUG "$log" | tail -n 40; fi
ok "stops" proxy_stop n1
kill "$(</run/lab/api/pid)"
finish
