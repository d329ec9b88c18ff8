#!/bin/bash
# The lab itself: pods of the real CNI plugins reach each other over two subnets, and
# the kernel has what the daemon programs. Everything else rests on this.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"

stage "nodes n1 and n2 on subnet 1, n3 and a client on subnet 2"
ok "fabric" lab_fabric
ok "node n1" lab_node 1 1
ok "node n2" lab_node 2 1
ok "node n3" lab_node 3 2
lab_client ext 2 100
lab_mesh
ok "pod a on n1" lab_pod n1 a 11
ok "pod b on n1" lab_pod n1 b 12
ok "pod c on n2" lab_pod n2 c 11
ok "pod d on n3" lab_pod n3 d
is "wanted address" 10.244.1.11 "$(lab_address 4 a)"
is "wanted address, IPv6" fd02:1::11 "$(lab_address 6 a)"
is "next free address" 10.244.3.2 "$(lab_address 4 d)"
is "next free address, IPv6" fd02:3::2 "$(lab_address 6 d)"
is "hairpin mode of the bridge ports" "true true" \
	"$(bridge -n n1 -d -j link show | jq -r '.[] | select(.master == "kube-bridge") | .hairpin' | paste -sd' ')"

stage "traffic"
ok "servers" lab_serve 8080 a b c d
is "on one bridge" "1x b 10.244.1.11 10.244.1.12" "$(ask a 10.244.1.12 8080)"
is "to the other node of the subnet" "1x c 10.244.1.11 10.244.2.11" "$(ask a 10.244.2.11 8080)"
is "to the other subnet" "1x d 10.244.1.11 10.244.3.2" "$(ask a 10.244.3.2 8080)"
is "to the other subnet, IPv6" "1x d fd02:1::11 fd02:3::2" "$(ask a fd02:3::2 8080)"
is "UDP" "1x d 10.244.1.11 -" "$(ask a -u 10.244.3.2 8080)"
is "client to pod" "1x a 10.1.2.100 10.244.1.11" "$(ask ext 10.244.1.11 8080)"
is "node to pod" "1x c 10.1.1.1 10.244.2.11" "$(ask n1 10.244.2.11 8080)"

stage "IPVS: by ipvsadm as witness, each namespace with its own table"
ns n1 ipvsadm --restore <<-R
	-A -t 10.96.0.10:80 -s rr
	-a -t 10.96.0.10:80 -r 10.244.1.11:8080 -m -w 1
	-a -t 10.96.0.10:80 -r 10.244.2.11:8080 -m -w 1
R
ip -n n1 link add kube-dummy-if type dummy
ip -n n1 link set kube-dummy-if up
ip -n n1 addr add 10.96.0.10/32 dev kube-dummy-if
is "pod to VIP, client address kept" "1x a 10.244.1.12 * 1x c 10.244.1.12 *" "$(ask b -n 2 10.96.0.10 80)"
is "no service on n2" "" "$(ns n2 ipvsadm -S -n)"

stage "filters, sets and conntrack"
ok "ipset in iptables" ns n2 sh -ec 'ipset create s hash:ip
	ipset add s 10.244.1.11
	iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP
	iptables -I FORWARD -m set --match-set s src -d 10.244.2.11 -j REJECT'
is "refused by it" "1x refused" "$(ask a 10.244.2.11 8080)"
is "not others" "1x c *" "$(ask b 10.244.2.11 8080)"
ok "nftables" ns n2 nft add table inet lab
is "conntrack" "*dport=8080*" "$(ns n2 conntrack -L -p tcp 2>/dev/null | head -1)"
is "nobody there" "1x unreachable" "$(ask a -t 8 10.244.2.99 8080)"
is "no answer in time" "1x timed out" "$(ns n3 iptables -I FORWARD -j DROP && ask a -t 1 10.244.3.2 8080)"
is "no answer in time, UDP" "1x timed out" "$(ask a -u -t 1 10.244.3.2 8080)"

stage "a pod goes"
ok "CNI DEL" lab_unpod n3 d
is "its port is gone" "" "$(ip -n n3 -br link show type veth | grep -v ^eth0)"
is "failed units" "" "$(systemctl --failed --no-legend)"
finish
