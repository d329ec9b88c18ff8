# shellcheck shell=bash
# The cluster that the suite of pod networking runs against. To be sourced after netlab.sh and
# proxylab.sh.
#
#        FRR in the fabric, AS 64600, 10.1.S.254 and fd01:S::254
#          |                            |
#       n1, n2 (subnet 1)            n3 (subnet 2), ext
#
# Nobody configures routes to pods: they come by BGP or not at all.

manifests=/run/lab/manifests
frr=/run/lab/frr

route_topology() { # three nodes without routes, a router, a client
	lab_fabric
	local k s
	for k in 1 2 3; do
		s=$((k < 3 ? 1 : 2))
		lab_netns "n$k" && lab_attach "n$k" $s "$k"
		mkdir -p "/run/lab/n$k/cni"
	done
	lab_client ext 2 100
}

node_manifest() { # node_manifest K [ANNOTATION...]: a Node with two pod ranges
	local k=$1 s=$(($1 < 3 ? 1 : 2)) line
	shift
	mkdir -p $manifests
	{
		cat <<-X
			apiVersion: v1
			kind: Node
			metadata:
			  name: n$k
		X
		if (($#)); then
			echo "  annotations:"
			for line; do echo "    kube-router.io/$line"; done
		fi
		cat <<-X
			spec:
			  podCIDRs: ["10.244.$k.0/24", "fd02:$k::/64"]
			status:
			  addresses:
			  - {type: InternalIP, address: 10.1.$s.$k}
			  - {type: InternalIP, address: "fd01:$s::$k"}
		X
	} >"$manifests/.n$k"
	# Whole or not at all.
	mv "$manifests/.n$k" "$manifests/n$k.yaml"
}

# Whether the Services' proxy and network policy run beside routing.
services=false

route_config() { # route_config K; keys of [routing] on standard input up to an empty line, then more
	local k=$1 s=$(($1 < 3 ? 1 : 2)) keys="" line
	while read -r line && [[ $line ]]; do keys+=$line$'\n'; done
	{
		cat <<-X
			[proxy]
			enabled = $services
			[netpol]
			enabled = $services
			[control]
			socket = "/run/lab/n$k/control.sock"
			[routing]
			enabled = true
			cni_conf_file = "/run/lab/n$k/cni/10-kuberouter.conflist"
			$keys
		X
		cat
		cat <<-X
			[[bgp.peer]]
			address = "10.1.$s.254"
			asn = 64600
		X
	} | proxy_config "n$k" $manifests
}

frr_start() { # frr_start [LINE...]: the router; more lines for its neighbours
	rm -rf $frr && mkdir -p $frr
	cat >$frr/zebra.conf <<-X
		hostname fabric
	X
	cat >$frr/bgpd.conf <<-X
		router bgp 64600
		 bgp router-id 10.1.1.254
		 no bgp ebgp-requires-policy
		 bgp bestpath as-path multipath-relax
		 neighbor nodes peer-group
		 neighbor nodes remote-as 64512
		 neighbor nodes timers connect 1
		 $(printf '%s\n ' "$@")
		 bgp listen range 10.1.0.0/16 peer-group nodes
		 address-family ipv4 unicast
		  neighbor nodes activate
		  maximum-paths 8
		 exit-address-family
		 address-family ipv6 unicast
		  neighbor nodes activate
		  maximum-paths 8
		 exit-address-family
	X
	chown -R frr:frr $frr
	local common=(-P 0 --log stdout -z "$frr/zserv" --vty_socket "$frr")
	ip netns exec fabric /usr/lib/frr/zebra "${common[@]}" -f $frr/zebra.conf -i $frr/zebra.pid >$frr/zebra.log 2>&1 &
	eventually 20 test -S $frr/zserv
	ip netns exec fabric /usr/lib/frr/bgpd "${common[@]}" -f $frr/bgpd.conf -i $frr/bgpd.pid >$frr/bgpd.log 2>&1 &
	eventually 20 test -s $frr/bgpd.pid
}

frr_stop() {
	kill "$(<$frr/bgpd.pid)" "$(<$frr/zebra.pid)"
	wait "$(<$frr/bgpd.pid)" "$(<$frr/zebra.pid)" 2>/dev/null
}

frr_says() { vtysh --vty_socket $frr -d bgpd -c "$*"; } # frr_says COMMAND

service_manifest() { # service_manifest POLICY K...: a Service with a pod on each of these nodes
	local policy=$1 k
	shift
	{
		cat <<-X
			apiVersion: v1
			kind: Service
			metadata: {name: web, namespace: shop}
			spec:
			  selector: {app: web}
			  clusterIP: 10.96.0.80
			  clusterIPs: [10.96.0.80, "fd96::80"]
			  ipFamilies: [IPv4, IPv6]
			  ipFamilyPolicy: RequireDualStack
			  externalIPs: [203.0.113.80, "2001:db8:1::80"]
			  type: NodePort
			  externalTrafficPolicy: $policy
			  ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080, protocol: TCP}]
		X
		slice v4 IPv4 "10.244.%s.11" "$@"
		slice v6 IPv6 "fd02:%s::11" "$@"
	} >"$manifests/.web"
	mv "$manifests/.web" "$manifests/web.yaml"
}

slice() { # slice NAME TYPE PATTERN K...
	local name=$1 type=$2 pattern=$3 k
	shift 3
	cat <<-X
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: {name: web-$name, namespace: shop, labels: {kubernetes.io/service-name: web}}
		addressType: $type
		ports: [{name: http, port: 8080, protocol: TCP}]
		endpoints:
	X
	for k; do
		# shellcheck disable=SC2059 # the pattern is ours
		printf -- "- {addresses: [\"$pattern\"], conditions: {ready: true}, nodeName: n$k}\n" "$k"
	done
}

route_pods() { # route_pods K...: a pod pK on each node, by the CNI file that the daemon wrote
	local k
	for k; do
		jq '.plugins[0] + {cniVersion, name} | .ipam.dataDir = "/run/lab/n'"$k"'/ipam"' \
			"/run/lab/n$k/cni/10-kuberouter.conflist" >"/run/lab/n$k/cni.json"
		lab_pod "n$k" "p$k" 11 || return
	done
}

learned() { # learned FAMILY NODE PREFIX: how the node routes it, by routes of ours
	ip -n "$2" -"$1" route show "$3" proto 77 | sed 's/ proto [^ ]*//; s/ metric [0-9]*//; s/ pref medium//; s/ *$//' | paste -sd';'
}

reaches() { # reaches FROM TO: the source that TO sees, of each family
	local to4 to6
	to4=$(lab_address 4 "$2") to6=$(lab_address 6 "$2")
	echo "$(ask "$1" "$to4" 8080) $(ask "$1" "$to6" 8080)"
}

mtu_fits() { # mtu_fits FROM TO: a packet as long as the link takes arrives in one piece
	local mtu
	mtu=$(ip -n "$1" -j link show eth0 | jq '.[0].mtu')
	ns "$1" ping -4 -q -c 1 -W 5 -M "do" -s $((mtu - 28)) "$(lab_address 4 "$2")" &&
		ns "$1" ping -6 -q -c 1 -W 5 -M "do" -s $((mtu - 48)) "$(lab_address 6 "$2")"
}
