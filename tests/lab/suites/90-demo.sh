#!/bin/bash
# A small cluster at work, step by step: three nodes as systemd instances of the
# installed package, a test API server, a client outside. Everything shown is checked.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"
. "$LAB_IN/instance.sh"

shown() { # shown NAMESPACE COMMAND...: what one would type there, and what it says
	printf '\n  [%s]$ %s\n' "$1" "${*:2}"
	ns "$@" 2>&1 | sed 's/^/  /'
}

answers() { # answers NAMESPACE COUNT URL: "N of web-1, ..." by new connections
	local i
	for ((i = 0; i < $2; i++)); do
		ns "$1" curl -sS -g -m 5 "$3" 2>&1
	done | sed 's/ .*//' | sort | uniq -c | sed 's/^ *//; s/ / of /' | paste -sd, | sed 's/,/, /g'
}

visit() { # visit TEXT NAMESPACE URL WANTED: six requests
	local got
	got=$(answers "$2" 6 "$3")
	printf '  [%s]$ 6 x curl %-32s -> %s\n' "$2" "$3" "$got"
	is "$1" "$4" "$got"
}
all="2 of web-1, 2 of web-2, 2 of web-3"

stage "Three nodes in two subnets; pods attached by the CNI bridge plugin"
lab_fabric
lab_node 1 1
lab_node 2 1
lab_node 3 2
lab_mesh
lab_client client 2 100
for n in 1 2 3; do ok "pod web-$n on n$n" lab_pod "n$n" "web-$n" 11; done
for n in 1 2; do ok "pod dns-$n on n$n" lab_pod "n$n" "dns-$n" 12; done
python3 "$LAB_IN/web.py" 8080 web-1 web-2 web-3 >/run/lab/web.out 2>&1 &
ok "pod shell on n1" lab_pod n1 shell 21
ok "web servers" eventually 30 grep -q ready /run/lab/web.out
ok "name servers (they only say who they are)" lab_serve 5353 dns-1 dns-2
# What a routing daemon or the upstream router would know: external addresses are at
# n1 and n3, the ClusterIPs at n2 for the client.
ip -n fabric route add 203.0.113.0/24 via 10.1.1.1
ip -n fabric route add 2001:db8::/64 via fd01:2::3
ip -n fabric route add 10.96.0.0/16 via 10.1.1.2
ip -n fabric route add fd96::/112 via fd01:1::2

stage "The API server, and the package on every node"
ok "test API server with the sample cluster (TLS, client certificate)" lab_api "$LAB_IN/sample"
ok "apt-get install ./kube-router.deb" lab_install
for n in n1 n2 n3; do
	lab_configure $n </dev/null
	ok "$n: kube-router check-config" kube-router check-config /etc/kube-router/$n/config.toml
done
ok "systemctl start, three nodes" systemctl start kube-router@n{1..3}
if ((lab_failed)); then # nothing below would tell anything
	lab_log n1 -n 30
	finish
fi
for n in n1 n2 n3; do
	printf '  %s: %s\n' $n "$(systemctl show kube-router@$n -p StatusText --value)"
done
ns n1 curl -sS http://127.0.0.1:20244/readyz | sed 's/^/  n1: /'

stage "The Services, as the API has them"
python3 - "$LAB_IN/sample" <<'P' | sed 's/^/  /'
import pathlib, re, sys
print(f"{'NAMESPACE':12} {'NAME':6} {'CLUSTER-IPS':22} {'EXTERNAL-IPS':28} PORTS")
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
    for text in file.read_text().split("\n---\n"):
        if not re.search(r"^kind: Service$", text, re.M):
            continue
        def key(name, text=text):
            found = re.search(rf"{name}: \[?([^\]\n]*)", text)
            return found.group(1).replace('"', "").replace(" ", "") if found else "-"
        ports = re.findall(r"protocol: (\w+), port: (\d+)[^}]*?(?:nodePort: (\d+))?}", text)
        shown = ",".join(f"{p}{':' + n if n else ''}/{proto}" for proto, p, n in ports)
        print(f"{key('namespace'):12} {key('name'):6} {key('clusterIPs'):22} {key('externalIPs'):28} {shown}")
P

stage "What that became in the kernel of n1"
shown n1 ipvsadm -Ln
is "virtual services of n1" 8 "$(ns n1 ipvsadm -S -n | grep -c -- '^-A')"
shown n1 ip -br addr show dev kube-dummy-if

stage "Requests: any node, any address, answered by pods on all nodes"
visit "pod, ClusterIP" shell http://10.96.0.80/ "$all"
visit "pod, ClusterIP, IPv6" shell "http://[fd96::80]/" "$all"
visit "client, ClusterIP by n2" client http://10.96.0.80/ "$all"
visit "client, NodePort of n1" client http://10.1.1.1:30080/ "$all"
visit "client, NodePort of n3" client http://10.1.2.3:30080/ "$all"
visit "client, NodePort of n2, IPv6" client "http://[fd01:1::2]:30080/" "$all"
visit "client, external IP" client http://203.0.113.80/ "$all"
visit "client, external IP, IPv6" client "http://[2001:db8::80]/" "$all"
got=$(ask shell -u -n 4 10.96.0.53 53 | sed 's/ [^ ]* -//g')
printf '  [shell]$ 4 datagrams to 10.96.0.53:53 -> %s\n' "$got"
is "UDP" "2x dns-1 2x dns-2" "$got"
got=$(ns client curl -sS -m 5 http://203.0.113.80:8080/ 2>&1)
printf '  [client]$ curl http://203.0.113.80:8080/ -> %s\n' "$got"
is "a port that no Service offers is refused at once" "curl: (7) *" "$got"

stage "The endpoint on n2 goes away, and comes back"
endpoint() { # endpoint true|false
	sed "/10.244.2.11/s/ready: true, serving: true/ready: $1, serving: $1/" \
		"$LAB_IN/sample/10-web.yaml" | lab_apply
}
echo "  (the test API server is told: web-2 is not ready)"
ok "changed" endpoint false
servers() { ns n1 ipvsadm -Ln -t 203.0.113.80:80 | grep -c 'Masq *1 '; }
becomes 10 "servers behind the external IP" 2 servers
shown n1 ipvsadm -Ln -t 203.0.113.80:80
visit "two answer" client http://203.0.113.80/ "3 of web-1, 3 of web-3"
echo "  (ready again)"
ok "changed back" endpoint true
becomes 10 "servers behind the external IP" 3 servers
visit "three answer" client http://203.0.113.80/ "$all"

stage "A restart of the daemon during a running download"
echo "  [client]\$ curl http://203.0.113.80/download?until=/run/lab/enough &"
ns client curl -sS -m 300 -o /run/lab/download "http://203.0.113.80/download?until=/run/lab/enough" \
	2>/run/lab/download.err &
download=$!
size() { stat -c %s /run/lab/download; }
grown() { (($(size) > $1)); }
ok "it runs" eventually 20 grown 0
before=$(ns n1 ipvsadm -S -n | sort)
pid=$(systemctl show kube-router@n1 -p MainPID --value)
at=$(size)
echo "  $at bytes; systemctl restart kube-router@n1"
ok "restart" systemctl restart kube-router@n1
now=$(systemctl show kube-router@n1 -p MainPID --value)
echo "  $(size) bytes"
ok "it is another process: $pid, then $now" test "$now" != "$pid"
ok "the table is the same" test "$before" = "$(ns n1 ipvsadm -S -n | sort)"
ok "the download went on meanwhile" grown "$at"
at=$(size)
ok "and still does" eventually 20 grown "$at"
visit "new connections" client http://203.0.113.80/ "*of web-1, *of web-2, *of web-3"
touch /run/lab/enough
ok "the download ends well" wait $download
is "its bytes are as sent" "$(tail -c 32 /run/lab/download | od -An -v -tx1 | tr -d ' \n')" \
	"$(head -c -32 /run/lab/download | sha256sum | cut -d' ' -f1)"

stage "Stopped: the Services go on"
ok "systemctl stop, three nodes" systemctl stop kube-router@n{1..3}
visit "no daemon runs" client http://203.0.113.80/ "$all"
echo "  [n1]\$ kube-router cleanup"
ok "cleanup" ns n1 kube-router cleanup --config /etc/kube-router/n1/config.toml
is "nothing of ours is left on n1" "" "$(ns n1 ipvsadm -S -n; ip -n n1 link show kube-dummy-if 2>/dev/null)"
is "failed units" "" "$(systemctl --failed --no-legend)"
finish
