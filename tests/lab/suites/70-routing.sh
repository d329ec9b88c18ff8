#!/bin/bash
# Pod networking between three nodes in two subnets with a real router: by plain routes, by IPIP
# and by FOU; what a router outside learns; restarts, repairs, reflectors; what a kernel lacks.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"
. "$LAB_IN/proxylab.sh"
. "$LAB_IN/routelab.sh"
keep() { for k in 1 2 3; do cp "/run/lab/n$k/daemon.log" "$LAB_OUT/n$k.log"; done; cp "$frr"/*.log "$LAB_OUT"; }
trap keep EXIT

start_all() { local k; for k in 1 2 3; do ok "n$k is ready" proxy_start "n$k"; done; }
stop_all() { local k; for k in 1 2 3; do ok "n$k stops" proxy_stop "n$k"; done; }
reload_all() { # reload_all: the keys of [routing] on standard input
	local k before keys
	keys=$(cat)
	for k in 1 2 3; do
		before=$(grep -c 'configuration reloaded' "/run/lab/n$k/daemon.log")
		route_config $k <<<"$keys"
		kill -HUP "$(<"/run/lab/n$k/pid")"
		eventually 20 reloaded "n$k" "$before" || failed "n$k does not reload"
	done
}
reloaded() { (($(grep -c 'configuration reloaded' "/run/lab/$1/daemon.log") > $2)); }
all_reach() { # all_reach: every pod every other, and each sees the other's own address
	local from to want
	for from in 1 2 3; do
		for to in 1 2 3; do
			[[ $from != "$to" ]] || continue
			want="1x p$to 10.244.$from.11 10.244.$to.11 1x p$to fd02:$from::11 fd02:$to::11"
			becomes 15 "p$from -> p$to" "$want" reaches p$from p$to
		done
	done
	for to in 2 3; do ok "p1 -> p$to at full MTU" mtu_fits p1 p$to; done
}
mesh_of() { "$KR" bgp neighbors --socket "/run/lab/$1/control.sock" --json | jq -r '[.neighbors[] | select(.state == "Established") | .peer] | sort | join(" ")'; }
stale() { # stale NODE PEER: the session's state, and how many routes wait to be told again
	"$KR" bgp neighbors --socket "/run/lab/$1/control.sock" --json | jq -r --arg peer "$2" \
		'.neighbors[] | select(.peer == $peer) | "\(.state) \(.families.ipv4.prefixes_stale) \(.families.ipv6.prefixes_stale)"'
}
failures() {
	local page
	page=$(ns "$1" curl -sf http://127.0.0.1:8080/metrics) || { echo "no page"; return; }
	grep -E '^kube_router_controller_failures_total{.* [1-9]' <<<"$page" || echo none
}
no_failures() {
	local k
	for k in 1 2 3; do
		is "nothing failed on n$k" none "$(failures "n$k")"
	done
}

stage "topology, a router, no overlay"
ok "nodes and a client" route_topology
for k in 1 2 3; do node_manifest $k; done
for k in 1 2 3; do route_config $k <<<'enable_overlay = false'; done
ok "FRR" frr_start
ok "check-config" "$KR" check-config /run/lab/n1/config.toml
start_all
for k in 1 2 3; do
	becomes 30 "the CNI file of n$k" "10.244.$k.0/24 fd02:$k::/64" \
		jq -r '[.plugins[0].ipam.ranges[][].subnet] | join(" ")' "/run/lab/n$k/cni/10-kuberouter.conflist"
done
ok "pods" route_pods 1 2 3
ok "pods serve" lab_serve 8080 p1 p2 p3 ext
for k in 1 2 3; do
	becomes 30 "FRR has the route to n$k" 1 sh -c "ip -n fabric route show 10.244.$k.0/24 proto bgp | wc -l"
	becomes 30 "FRR has the IPv6 route to n$k" 1 sh -c "ip -n fabric -6 route show fd02:$k::/64 proto bgp | wc -l"
done
becomes 30 "n1 -> n2 by plain route" "10.244.2.0/24 via 10.1.1.2 dev eth0" learned 4 n1 10.244.2.0/24
becomes 30 "n1 -> n2 by plain route, IPv6" "fd02:2::/64 via fd01:1::2 dev eth0" learned 6 n1 fd02:2::/64
is "n1 leaves the other subnet to the fabric" "" "$(learned 4 n1 10.244.3.0/24)$(learned 6 n1 fd02:3::/64)"
all_reach

stage "egress: masqueraded to outside, and only there"
is "pod -> outside" "1x ext 10.1.1.1 10.1.2.100 1x ext fd01:1::1 fd01:2::100" \
	"$(ask p1 10.1.2.100 8080) $(ask p1 fd01:2::100 8080)"
is "pod -> pod of another node keeps its address" "1x p3 10.244.1.11*" "$(ask p1 10.244.3.11 8080)"
ok "a node serves" lab_serve 8081 n3
is "pod -> another node keeps its address" "1x n3 10.244.1.11*" "$(ask p1 10.1.2.3 8081)"
is "the same, IPv6" "1x n3 fd02:1::11*" "$(ask p1 fd01:2::3 8081)"
no_failures

for encap in ipip fou; do
	stage "overlay: $encap across subnets"
	[[ $encap == ipip ]] || modprobe -a fou fou6
	reload_all <<-X
		enable_overlay = true
		overlay_encap = "$encap"
	X
	becomes 30 "n1 -> n3 by tunnel" "10.244.3.0/24 dev tun-*" learned 4 n1 10.244.3.0/24
	becomes 30 "n1 -> n3 by tunnel, IPv6" "fd02:3::/64 dev tun-*" learned 6 n1 fd02:3::/64
	becomes 30 "n1 -> n2 by plain route" "10.244.2.0/24 via 10.1.1.2 dev eth0" learned 4 n1 10.244.2.0/24
	becomes 30 "the bridge's MTU leaves room" "$([[ $encap == ipip ]] && echo "14[0-9][0-9]" || echo "14[0-9][0-9]")" \
		sh -c "ip -n n1 -j link show kube-bridge | jq .[0].mtu"
	for k in 1 2 3; do lab_unpod "n$k" "p$k"; done
	ok "pods with the new MTU" route_pods 1 2 3
	pkill -f whoami.py
	ok "pods serve" lab_serve 8080 p1 p2 p3 ext
	ok "a node serves" lab_serve 8081 n3
	all_reach
	name=$(ip -n n1 -4 route show 10.244.3.0/24 | grep -o 'tun-[0-9a-f]*')
	before=$(ip -n n1 -j -s link show "$name" | jq '.[0].stats64.tx.packets')
	ok "asked through the tunnel" ask p1 10.244.3.11 8080
	after=$(ip -n n1 -j -s link show "$name" | jq '.[0].stats64.tx.packets')
	ok "the tunnel counts them" test "$after" -gt "$before"
	is "pod -> another node by the tunnel keeps its address" "1x n3 10.244.1.11*" "$(ask p1 10.1.2.3 8081)"
	is "pod -> outside" "1x ext 10.1.1.1 10.1.2.100" "$(ask p1 10.1.2.100 8080)"
	ok "the policy rule" sh -c "ip -n n1 rule show | grep -q 'from 10.244.1.0/24 lookup \(77\|kube-router\)'"
	no_failures
done

stage "overlay: full"
reload_all <<-X
	overlay_encap = "ipip"
	overlay_type = "full"
X
becomes 30 "n1 -> n2 by tunnel too" "10.244.2.0/24 dev tun-*" learned 4 n1 10.244.2.0/24
becomes 30 "n1 -> n2 by tunnel too, IPv6" "fd02:2::/64 dev tun-*" learned 6 n1 fd02:2::/64
is "no FOU port is left" "" "$(ns n1 ip fou show)"
all_reach
reload_all </dev/null
becomes 30 "n1 -> n2 by plain route again" "10.244.2.0/24 via 10.1.1.2 dev eth0" learned 4 n1 10.244.2.0/24
all_reach

stage "foreign changes"
ip -n n1 route del 10.244.2.0/24
becomes 5 "a route comes back" "10.244.2.0/24 via 10.1.1.2 dev eth0" learned 4 n1 10.244.2.0/24
ip -n n1 -6 route del fd02:2::/64
becomes 5 "an IPv6 route comes back" "fd02:2::/64 via fd01:1::2 dev eth0" learned 6 n1 fd02:2::/64
name=$(ip -n n1 -4 route show 10.244.3.0/24 | grep -o 'tun-[0-9a-f]*')
ip -n n1 link del "$name"
becomes 10 "a tunnel comes back with its route" "10.244.3.0/24 dev $name*" learned 4 n1 10.244.3.0/24
becomes 15 "p1 -> p3" "1x p3 10.244.1.11*" ask p1 10.244.3.11 8080
ip -n n1 route add 192.0.2.0/24 via 10.1.1.254 proto static

stage "restart: adopted, and the neighbours keep forwarding"
reload_all <<-X

	[bgp]
	graceful_restart = true
X
stateful() { { ip -n n1 route; ip -n n1 -6 route; ip -n n1 rule; ip -n n1 -o link; ns n1 iptables-save; ns n1 ipset save; } | sed 's/ \[[0-9:]*\]//; s/^# .*//; s/ expires [0-9]*sec//; s/initval [^ ]*//' | sort; }
becomes 60 "sessions of n1" "10.1.1.2 10.1.1.254 10.1.2.3" mesh_of n1
becomes 60 "sessions of n3" "10.1.1.1 10.1.1.2 10.1.2.254" mesh_of n3
becomes 30 "n3 has the way back" "10.244.1.0/24 dev tun-*" learned 4 n3 10.244.1.0/24
becomes 30 "n2 has the way back" "fd02:1::/64 via fd01:1::1 dev eth0" learned 6 n2 fd02:1::/64
for family in "4 10.244" "6 fd02:"; do
	read -r family prefix <<<"$family"
	for k in 2 3; do
		becomes 30 "n1 has IPv$family to n$k" "?*" learned "$family" n1 "$prefix$([[ $family == 4 ]] && echo ".$k.0/24" || echo "$k::/64")"
	done
done
before=$(stateful)
ip netns exec p1 ping -i 0.02 -q 10.244.3.11 >/run/lab/ping4 2>&1 &
ping4=$!
ip netns exec p1 ping -i 0.02 -q fd02:2::11 >/run/lab/ping6 2>&1 &
ping6=$!
ok "SIGTERM" proxy_stop n1
ok "n1 is ready again" proxy_start n1
is "changes made" none "$(ns n1 curl -sf http://127.0.0.1:8080/metrics | grep -E '^kube_router_controller_changes_total{controller="routing".* [1-9]' | grep -v 'kind="set-bgp"' || echo none)"
# A second restart before the first is over costs the routes (RFC 4724 section 4.2).
for k in 2 3; do becomes 60 "n$k has all of n1's routes anew" "Established 0 0" stale n$k 10.1.1.1; done
kill -KILL "$(</run/lab/n1/pid)"
ok "n1 is ready after SIGKILL" proxy_start n1
becomes 60 "sessions of n1" "10.1.1.2 10.1.1.254 10.1.2.3" mesh_of n1
is "the kernel is as before" "" "$(diff <(echo "$before") <(stateful))"
kill -INT $ping4 $ping6
wait $ping4 $ping6
is "lost on the way to n3" "* 0% packet loss*" "$(grep loss /run/lab/ping4)"
is "lost on the way to n2" "* 0% packet loss*" "$(grep loss /run/lab/ping6)"

stage "a node goes"
rm $manifests/n3.yaml
becomes 30 "n1 has no route to it" "" learned 4 n1 10.244.3.0/24
becomes 30 "nor for IPv6" "" learned 6 n1 fd02:3::/64
becomes 30 "nor a tunnel" "" sh -c "ip -n n1 -o link show type ipip | grep -o 'tun-[0-9a-f]*'"
node_manifest 3
becomes 60 "it comes back" "10.244.3.0/24 dev tun-*" learned 4 n1 10.244.3.0/24

stage "a reflector"
lives() { "$KR" bgp neighbors --socket /run/lab/n2/control.sock --json | jq '.neighbors[] | select(.peer == "10.1.1.254") | .sessions_established'; }
lives=$(lives)
node_manifest 1 'rr.server: "1"'
node_manifest 2 'rr.client: "1"'
node_manifest 3 'rr.client: "1"'
becomes 60 "n2 speaks with the reflector and the router alone" "10.1.1.1 10.1.1.254" mesh_of n2
becomes 60 "n3 too" "10.1.1.1 10.1.2.254" mesh_of n3
becomes 60 "n2 -> n3 by way of the reflector's word" "10.244.3.0/24 dev tun-*" learned 4 n2 10.244.3.0/24
becomes 60 "n2 -> n3, IPv6" "fd02:3::/64 dev tun-*" learned 6 n2 fd02:3::/64
all_reach
for k in 1 2 3; do node_manifest $k; done
becomes 60 "the mesh again" "10.1.1.1 10.1.1.254 10.1.2.3" mesh_of n2
is "its session with the router has seen nothing of that" "$lives" "$(lives)"

stage "Services: announced to the router, served by every node, policies beside"
stop_all
services=true
service_manifest Cluster 2 3
for k in 1 2 3; do
	route_config $k <<-X

		[bgp]
		graceful_restart = true
		advertise_external_ip = true
	X
done
start_all
ways() { ip -n fabric -"$1" route show "$2" proto bgp | grep -o 'via [^ ]*' | sort | paste -sd' '; }
becomes 60 "the router has three ways" "via 10.1.1.1 via 10.1.1.2 via 10.1.2.3" ways 4 203.0.113.80
becomes 60 "the same, IPv6" "via fd01:1::1 via fd01:1::2 via fd01:2::3" ways 6 2001:db8:1::80
becomes 20 "a client outside is served" "1x p?*" ask ext 203.0.113.80 80
ok "no answer is missing" sh -c "! ip netns exec ext bash $LAB_IN/ask.sh -n 12 203.0.113.80 80 | grep -vq 'x p[23] '"
ok "nor by IPv6" sh -c "! ip netns exec ext bash $LAB_IN/ask.sh -n 12 2001:db8:1::80 80 | grep -vq 'x p[23] '"
ok "a pod by the ClusterIP" sh -c "! ip netns exec p1 bash $LAB_IN/ask.sh -n 6 10.96.0.80 80 | grep -vq 'x p[23] '"
ok "the same, IPv6" sh -c "! ip netns exec p1 bash $LAB_IN/ask.sh -n 6 fd96::80 80 | grep -vq 'x p[23] '"
service_manifest Local 3
becomes 30 "policy Local: only the node with an endpoint says it" "via 10.1.2.3" ways 4 203.0.113.80
becomes 30 "the same, IPv6" "via fd01:2::3" ways 6 2001:db8:1::80
becomes 20 "the pod sees the client" "1x p3 10.1.2.100 10.244.3.11" ask ext 203.0.113.80 80
is "metrics: announced" 1 "$(ns n1 curl -sf http://127.0.0.1:8080/metrics | grep -c '^kube_router_controller_bgp_advertisements_sent{type="pod-route"} 2')"
is "metrics: withdrawn" 1 "$(ns n1 curl -sf http://127.0.0.1:8080/metrics | grep -c '^kube_router_controller_bgp_advertisements_sent{type="withdraw-vip"} 2')"
is "metrics: peers" 3 "$(ns n1 curl -sf http://127.0.0.1:8080/metrics | grep -c '^kube_router_bgp_peer_info{.*state="established"} 1')"
rm $manifests/web.yaml
becomes 30 "a Service that goes is withdrawn" "" ways 4 203.0.113.80
all_reach
no_failures

stage "words of the tools"
is "bgp neighbors" "*10.1.1.254 *64600*3 neighbors" "$("$KR" bgp neighbors --socket /run/lab/n1/control.sock | paste -sd' ')"
ok "bgp rib" "$KR" bgp rib --socket /run/lab/n1/control.sock
ok "bgp explain" "$KR" bgp explain 10.244.2.0/24 --socket /run/lab/n1/control.sock
is "FRR sees our attributes" "64512 * IGP*" "$(frr_says show ip bgp 10.244.1.0/24 json | jq -r '.paths[0] | "\(.aspath.string) \(.nexthops[0].ip) \(.origin)"')"

stage "what is missing is said, and all else goes on"
stop_all
ip netns exec n2 python3 -c 'import socket,time; s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("10.1.1.2",179)); s.listen(); time.sleep(600)' &
squatter=$!
modprobe -r fou6 fou
printf 'install fou /bin/false\ninstall fou6 /bin/false\n' >/etc/modprobe.d/lab.conf
services=false
for k in 1 2 3; do route_config $k <<<'overlay_encap = "fou"'; done
for k in 1 2 3; do
	ip netns exec "n$k" "$KR" run --config "/run/lab/n$k/config.toml" >>"/run/lab/n$k/daemon.log" 2>&1 &
	echo $! >"/run/lab/n$k/pid"
done
becomes 60 "without fou: n1 -> n2 works" "10.244.2.0/24 via 10.1.1.2 dev eth0" learned 4 n1 10.244.2.0/24
becomes 30 "it is said" 1 sh -c "grep -ac 'ip fou add port 5555 gue: this kernel has no FOU: the module fou is neither built in nor loaded' /run/lab/n1/daemon.log | sed 's/^[1-9].*/1/'"
becomes 30 "a port that is taken is said" 1 sh -c "ip netns exec n2 curl -s 'http://127.0.0.1:20244/readyz?verbose' | grep -c \"can't listen at 10.1.1.2:179\""
kill $squatter
becomes 20 "and listened at when it is free" 0 sh -c "ip netns exec n2 curl -s 'http://127.0.0.1:20244/readyz?verbose' | grep -c \"can't listen\""
rm /etc/modprobe.d/lab.conf
stop_all

stage "cleanup"
for k in 1 2 3; do ok "cleanup on n$k" ns "n$k" "$KR" cleanup --config "/run/lab/n$k/config.toml"; done
is "routes of ours" "" "$(ip -n n1 route show proto 77; ip -n n1 -6 route show proto 77)"
is "rules of ours" "" "$(ip -n n1 rule | grep 'lookup \(77\|kube-router\)')"
is "tunnels of ours" "" "$(ip -n n1 -o link | grep tun-)"
is "sets of ours" "" "$(ns n1 ipset list -n | grep kube-router)"
is "rules in iptables" "" "$(ns n1 iptables-save | grep -i kube-router)"
is "a foreign route is there" "192.0.2.0/24 via 10.1.1.254*" "$(ip -n n1 route show 192.0.2.0/24)"
frr_stop
finish
