#!/bin/bash
# What happens to what is ours and what is not: foreign services, meddling, restarts,
# broken input, clean-up.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"
. "$LAB_IN/proxylab.sh"

stage "topology, foreign objects, the daemon"
ok "nodes, pods, client" proxy_topology
ok "pods serve on 8080" lab_serve 8080 n1p1 n1p2 n2p1 n2p2 n3p1
ns n1 ipvsadm --restore <<-X
	-A -t 192.0.2.7:443 -s wlc
	-a -t 192.0.2.7:443 -r 192.0.2.8:443 -m -w 3
	-A -f 4711 -s rr
X
ns n1 ipset create foreign hash:ip
ns n1 ipset add foreign 192.0.2.9
ns n1 iptables -A INPUT -m set --match-set foreign src -j DROP
ns n1 iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
ip -n n1 link add foreign0 type dummy
ip -n n1 addr add 192.0.2.50/32 dev foreign0
before=$(proxy_state n1)
python3 "$LAB_IN/truth.py" manifests /run/lab/manifests
proxy_config n1 /run/lab/manifests </dev/null
ok "ready" proxy_start n1
full=$(proxy_state n1)
web() { ask ext -t 2 203.0.113.3 80; }
is "answers" "1x n*p*" "$(web)"

stage "a restart with an unchanged cluster"
ok "stops" proxy_stop n1
is "the kernel is as before the stop" "$full" "$(proxy_state n1)"
(ns n1 ip -t monitor address link route >/run/lab/monitor & echo $! >/run/lab/monitor.pid)
ok "starts" proxy_start n1
kill "$(</run/lab/monitor.pid)"
is "changes made" 0 "$(proxy_metric n1 kube_router_controller_changes_total)"
is "the kernel is as before the start" "$full" "$(proxy_state n1)"
is "no event of links, addresses and routes" "" "$(grep -v '^Timestamp' /run/lab/monitor)"

stage "meddling is repaired"
same() { [[ $(proxy_state n1) == "$full" ]]; }
ns n1 ipvsadm -C
ns n1 ipvsadm --restore <<-X
	-A -t 192.0.2.7:443 -s wlc
	-a -t 192.0.2.7:443 -r 192.0.2.8:443 -m -w 3
	-A -f 4711 -s rr
X
ok "IPVS flushed" eventually 10 same
ip -n n1 link del kube-dummy-if
ok "kube-dummy-if deleted" eventually 10 same
ip -n n1 addr del 203.0.113.3/32 dev kube-dummy-if
ok "an address deleted" eventually 10 same
is "answers" "1x n*p*" "$(web)"

stage "bad input beside a thousand good objects"
python3 - <<'X'
with open("/run/lab/manifests/many.yaml", "w") as out:
    for n in range(1000):
        out.write(f"""apiVersion: v1
kind: Service
metadata: {{name: many-{n}, namespace: many}}
spec: {{clusterIP: 10.96.{16 + n // 250}.{n % 250 + 1}, ports: [{{port: 80}}]}}
---
""")
    out.write("""apiVersion: v1
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
""")
X
becomes 30 "the good ones are there" 1001 \
	sh -c "ip netns exec n1 ipvsadm -S -n | grep -cE '^-A -t 10\.96\.(1[6-9]|20|99)\.'"
is "the good port of the bad Service" "-A -t 10.96.99.1:81 *" \
	"$(ns n1 ipvsadm -S -n | grep -- '-A -t 10.96.99.1:')"
is "the older Service keeps its address" "1x n*p*" "$(ask n1p1 -t 2 10.96.0.3 80)"
becomes 10 "the younger one is told" "*many/younger*10.96.0.3:80*truth/s3*" \
	sh -c 'grep -h younger /run/lab/n1/daemon.log | tail -1'
is "no bad endpoint" "" "$(ns n1 ipvsadm -S -n | grep -E '127.0.0.1:8080|fd00::1')"
printf 'kind: [broken\n' >/run/lab/manifests/svc-3.yaml
becomes 10 "a broken file is reported" "*svc-3.yaml*" sh -c 'grep -h svc-3.yaml /run/lab/n1/daemon.log | tail -1'
is "and its last good objects stay" "1x n*p*" "$(web)"
python3 "$LAB_IN/truth.py" manifests /run/lab/manifests
rm /run/lab/manifests/many.yaml
ok "all as before" eventually 30 same

stage "reload"
sed -i 's/^\[proxy\]$//' /run/lab/n1/config.toml
printf '[proxy]\nmasquerade_all = true\n' >>/run/lab/n1/config.toml
kill -HUP "$(</run/lab/n1/pid)"
becomes 10 "a changed key takes effect" "*proxy.masquerade_all*" ns n1 iptables -t nat -S KUBE-ROUTER-SVC-MASQ
printf 'nonsense = 1\n' >>/run/lab/n1/config.toml
kill -HUP "$(</run/lab/n1/pid)"
becomes 10 "a bad reload says why" "*nonsense*" sh -c 'grep -h nonsense /run/lab/n1/daemon.log | tail -1'
is "and keeps the running configuration" "*proxy.masquerade_all*" "$(ns n1 iptables -t nat -S KUBE-ROUTER-SVC-MASQ)"
is "the daemon is still ready" 0 "$(proxy_ready n1; echo $?)"

stage "UDP: an endpoint that goes leaves no tracked flow"
gone=$(ask ext -u -t 3 203.0.113.2 80 | cut -d' ' -f2)
is "answered" "n2p[12]" "$gone"
flows() { ns n1 conntrack -L -p udp 2>/dev/null | grep -c "10.244.2.1${gone#n2p} "; }
is "tracked" 1 "$(flows)"
sed -i "/10.244.2.1${gone#n2p}'/d" /run/lab/manifests/svc-2.yaml
becomes 10 "forgotten" 0 flows
python3 "$LAB_IN/truth.py" manifests /run/lab/manifests

stage "clean-up"
ok "stops" proxy_stop n1
ok "cleanup" ns n1 "$KR" cleanup
is "exactly what was there before" "$before" "$(proxy_state n1)"
is "foreign link" "foreign0*" "$(ip -n n1 -br addr show dev foreign0)"
ok "cleanup again" ns n1 "$KR" cleanup
finish
