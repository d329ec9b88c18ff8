#!/bin/bash
# The memory of a daemon that knows 10,000 Services with 100,000 endpoints, and the time it
# took. Needs test-apiserver in $LAB_IN/bin, and a release build of the daemon.
. "$LAB_IN/check.sh"
. "$LAB_IN/proxylab.sh"
services=10000 endpoints=10 limit_kib=$((120 * 1024))
dir=/run/lab
mkdir -p $dir

kib() { awk -v k="$1:" '$1 == k { print $2 }' "/proc/$pid/status"; }
entries() { ipvsadm -S -n | awk -v flag="$1" '$1 == flag { n++ } END { print n + 0 }'; }
sum() { # sum METRIC: of all its series
	curl -sf http://127.0.0.1:8080/metrics | awk -v n="$1" 'index($1, n) == 1 { s += $2 } END { print s + 0 }'
}
ready() { curl -sf -o /dev/null http://127.0.0.1:20244/readyz; }
figures() { # figures WHEN: and hold them against the limit
	local now peak
	now=$(kib VmRSS) peak=$(kib VmHWM)
	printf '  %s: VmRSS %s KiB, VmHWM %s KiB, %s threads\n' "$1" "$now" "$peak" "$(kib Threads)"
	ok "$1: at most 120 MB" test "$peak" -le $limit_kib
}

stage "an API server with $services Services of $endpoints endpoints"
modprobe -a ip_vs dummy br_netfilter
ip link add eth-lab type dummy
ip addr add 172.16.0.1/24 dev eth-lab
ip link set eth-lab up
"$LAB_IN/bin/test-apiserver" --tls --auth token --credentials token --listen 127.0.0.1:6443 \
	--big $services $endpoints --kubeconfig-out $dir/kubeconfig >$dir/api.log 2>&1 &
api=$!
ok "serves" eventually 600 grep -q ^ready $dir/api.log
cat >$dir/config.toml <<-X
	[node]
	name = "node-000.example.internal"
	[cluster]
	kubeconfig = "$dir/kubeconfig"
	service_cluster_ip_range = ["10.96.0.0/16"]
	[metrics]
	listen = "127.0.0.1:8080"
X

stage "a first start, everything is to be made"
"$KR" run --config $dir/config.toml >$dir/log 2>&1 &
pid=$!
begin=$SECONDS
ok "ready" eventually 900 ready
printf '  ready after %s s\n' $((SECONDS - begin))
is "virtual services" $services "$(entries -A)"
is "real servers" $((services * endpoints)) "$(entries -a)"
is "failures" 0 "$(sum kube_router_controller_failures_total)"
figures "after the first pass"
ok "the page of metrics" curl -sf -o $dir/metrics http://127.0.0.1:8080/metrics
figures "after a scrape"

stage "a restart, nothing is to be made"
kill $pid
wait $pid
"$KR" run --config $dir/config.toml >>$dir/log 2>&1 &
pid=$!
begin=$SECONDS
ok "ready" eventually 900 ready
printf '  ready after %s s\n' $((SECONDS - begin))
is "changes made" 0 "$(sum kube_router_controller_changes_total)"
figures "after a restart"
if ((lab_failed)); then tail -n 30 $dir/log; fi
kill $pid $api
finish
