#!/bin/bash
# Who answers at a Service's address, with which source: the proxy's truth table by packets.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"
. "$LAB_IN/proxylab.sh"

stage "topology and servers"
ok "nodes, pods, client" proxy_topology
ok "pods serve on 8080" lab_serve 8080 n1p1 n1p2 n2p1 n2p2 n3p1
# What must never be reached through a Service's address.
ok "the node itself serves on 9999" lab_serve 9999 n1
ok "the node itself serves on 80" lab_serve 80 n1

stage "the daemon on n1, from a directory of manifests"
python3 "$LAB_IN/truth.py" manifests /run/lab/manifests
proxy_config n1 /run/lab/manifests </dev/null
ok "configuration" "$KR" check-config /run/lab/n1/config.toml
ok "ready" proxy_start n1
is "foreign or failed changes" 0 "$(proxy_metric n1 kube_router_controller_failures_total)"

stage "packets"
counted python3 "$LAB_IN/truth.py" probe
counted python3 "$LAB_IN/truth.py" guard
counted python3 "$LAB_IN/truth.py" affinity
counted python3 "$LAB_IN/truth.py" ranges

stage "what the tools see"
is "affinity with a mask of one address" "-A -t 10.96.0.30:80 -s rr -p 10800*" \
	"$(ns n1 ipvsadm -S -n | grep -- '-A -t 10.96.0.30:80')"
is "no link-local or foreign address on the dummy link" "" \
	"$(ip -n n1 -o -4 addr show dev kube-dummy-if | grep -v '/32')"
is "source towards a VIP" "10.1.1.1" "$(ip -n n1 -j route get 10.96.0.1 | jq -r '.[0].prefsrc')"
is "source towards a VIP, IPv6" "fd01:1::1" "$(ip -n n1 -j route get fd96::1 | jq -r '.[0].prefsrc')"

stage "from the first packet on"
asking=
mkdir -p /run/lab/later
python3 - <<'X'
import sys
sys.path.insert(0, "/lab/in")
sys.argv = ["truth.py"]
import truth
with open("/run/lab/later/svc-40.yaml", "w") as out:
    out.write(truth.service_text(40, "Cluster", "both"))
X
for port in 80 9999; do
	python3 "$LAB_IN/truth.py" first 203.0.113.40 $port /run/lab/stop >/run/lab/first-$port &
	asking="$asking $!"
done
served() { ns n1 ipvsadm -S -n | grep -q 203.0.113.40:80; }
gone() { ! served; }
answered() { [[ $(ask ext -t 2 203.0.113.40 80) == "1x n"?p* ]]; }
for round in 1 2 3; do
	cp /run/lab/later/svc-40.yaml /run/lab/manifests/
	ok "round $round: the Service appears and answers" eventually 20 answered
	rm /run/lab/manifests/svc-40.yaml
	ok "round $round: it goes" eventually 20 gone
done
touch /run/lab/stop
for pid in $asking; do ok "asker ends well" wait "$pid"; done
cat /run/lab/first-80 /run/lab/first-9999
is "pods answered at port 80, and never the node" "*n[12]p[12]*" "$(cat /run/lab/first-80)"

ok "SIGTERM ends it" proxy_stop n1
is "the data path stays" "1x n*" "$(ask ext 203.0.113.3 80)"
finish
