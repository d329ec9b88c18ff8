#!/usr/bin/python3
"""Network policy, packet by packet: who reaches whom, by which way, with which source address.

Who may is written down here from the API's text, not taken from the daemon. Nodes n1 and n2
enforce; n3 stands in another subnet and does not.

usage: netpol.py manifests DIR     write the cluster as YAML files
       netpol.py probe             try every row and compare; exit status 1 if one differs
       netpol.py pod POD NAME      the YAML of one pod more
       netpol.py errors            errors and neighbours reach pods that policies isolate
       netpol.py stream FILE       ask without pause until FILE is there: what is allowed must be
                                   answered each time, what is refused never
       netpol.py ask CLIENT,ADDRESS,PROTOCOL[,SOURCE]...
                                   questions at port 8080: who answers each, "refused" or "silent"
"""
import collections
import concurrent.futures
import os
import socket
import struct
import sys
import time

from truth import ask, enter, pod_address, node_address, outside_address
import truth

TIMEOUT = 3.0
PORT, NODE_PORT, NODES = 8080, 9999, ("n1", "n2")
NODE_PORT_RANGE = 31999

# Namespace, name and app of each pod; "b" carries the label team=b.
PODS = {
    "n1p1": ("a", "buyer", "client"),
    "n1p2": ("a", "web1", "web"),
    "n1p3": ("b", "free", "free"),
    "n1p4": ("b", "locked", "locked"),
    "n2p1": ("a", "web2", "web"),
    "n2p2": ("b", "dns", "dns"),
    "n3p1": ("a", "far", "client"),
}
# Numbers of Services and the one pod behind each.
SERVICES = {1: "n1p2", 2: "n2p1", 3: "n1p3", 4: "n2p2"}
# Only pods on n1: what n1 forwards to another node's pod comes from n1's address.
LOCAL_SERVICES = (1, 3)
truth.PODS.update({"n1p3": 13, "n1p4": 14, "n1p5": 15})

POLICIES = f"""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web, namespace: a}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  ingress:
  - from:
    - podSelector: {{matchLabels: {{app: client}}}}
    - namespaceSelector: {{matchLabels: {{team: b}}}}
      podSelector: {{matchExpressions: [{{key: app, operator: In, values: [locked]}}]}}
    - ipBlock: {{cidr: 10.1.2.0/24, except: [10.1.2.101/32]}}
    - ipBlock: {{cidr: "fd01:2::/64", except: ["fd01:2::101/128"]}}
    ports:
    - {{protocol: TCP, port: {PORT}}}
    - {{protocol: UDP, port: {PORT}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: locked, namespace: b}}
spec:
  podSelector: {{matchLabels: {{app: locked}}}}
  policyTypes: [Egress]
  egress:
  - to: [{{namespaceSelector: {{matchLabels: {{team: a}}}}, podSelector: {{matchLabels: {{app: web}}}}}}]
    ports:
    - {{protocol: TCP, port: {PORT}}}
    - {{protocol: UDP, port: {PORT}}}
  - to: [{{podSelector: {{matchLabels: {{app: dns}}}}}}]
    ports: [{{protocol: UDP, port: dgram}}]
"""


def pod_text(pod, namespace, name, app):
    node = pod[:2]
    ips = [pod_address(pod, f) for f in (4, 6)]
    return f"""apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}
spec:
  nodeName: {node}
  containers:
  - name: main
    ports:
    - {{name: web, protocol: TCP, containerPort: {PORT}}}
    - {{name: dgram, protocol: UDP, containerPort: {PORT}}}
status:
  phase: Running
  hostIP: {node_address(node, 4)}
  hostIPs: [{{ip: '{node_address(node, 4)}'}}, {{ip: '{node_address(node, 6)}'}}]
  podIP: {ips[0]}
  podIPs: [{{ip: '{ips[0]}'}}, {{ip: '{ips[1]}'}}]
"""


def manifests(folder):
    truth.node_manifests(folder)
    for number, pod in SERVICES.items():
        policy = "Local" if number in LOCAL_SERVICES else "Cluster"
        truth.ENDPOINTS[pod] = [pod]
        text = truth.service_text(number, policy, pod)
        # Within the cluster, every pod is asked.
        text = text.replace("internalTrafficPolicy: Local", "internalTrafficPolicy: Cluster")
        with open(f"{folder}/svc-{number}.yaml", "w") as out:
            out.write(text)
    for pod, (namespace, name, app) in PODS.items():
        with open(f"{folder}/pod-{pod}.yaml", "w") as out:
            out.write(pod_text(pod, namespace, name, app))
    for namespace in "ab":
        with open(f"{folder}/namespace-{namespace}.yaml", "w") as out:
            out.write(
                "apiVersion: v1\nkind: Namespace\n"
                f"metadata: {{name: {namespace}, labels: {{team: {namespace}}}}}\n"
            )
    with open(f"{folder}/policies.yaml", "w") as out:
        out.write(POLICIES)


# --- what must happen ---------------------------------------------------------------------

WEB_CLIENTS = {"n1p1", "n3p1", "n1p4", "n3", "ext"}


def is_allowed(client, server, protocol, masqueraded=False):
    """Whether policies let `client` speak to `server`, a pod or a node."""
    if client == server:
        return True
    if client == "n1p4":
        may = {"n1p2": ("tcp", "udp"), "n2p1": ("tcp", "udp"), "n2p2": ("udp",)}
        if protocol not in may.get(server, ()):
            return False
    if server in ("n1p2", "n2p1"):
        if masqueraded:
            client = "n1"
        if client == server[:2]:
            return True
        return client in WEB_CLIENTS and protocol in ("tcp", "udp")
    return True


Row = collections.namedtuple("Row", "way client address port family protocol server allowed source")


def source_of(client, family):
    if client in PODS:
        return pod_address(client, family)
    return None if client in NODES else client_address(client, family)


def client_address(client, family):
    if client == "ext2":
        return "10.1.2.101" if family == 4 else "fd01:2::101"
    return outside_address(family)


def direct(family):
    for client in ("n1p1", "n1p2", "n1p3", "n1p4", "n2p2", "n3p1", "n1", "n2", "ext", "ext2"):
        for server in ("n1p2", "n1p3", "n1p4", "n2p1", "n2p2"):
            for protocol in ("tcp", "udp", "echo"):
                allowed = is_allowed(client, server, protocol)
                source = source_of(client, family)
                yield Row("pod", client, pod_address(server, family), PORT, family, protocol,
                          server, allowed, source)


def through_service(family):
    for client in ("n1p1", "n1p3", "n1p4", "n2p2", "n1", "n2"):
        for number, server in SERVICES.items():
            # A pod that reaches itself through its Service is the proxy's business.
            if client == server:
                continue
            for protocol in ("tcp", "udp"):
                allowed = is_allowed(client, server, protocol)
                yield Row("service", client, truth.vip(number, "cluster", family)[0], 80, family,
                          protocol, server, allowed, source_of(client, family))


def on_node_port(family):
    for client in ("ext", "ext2", "n3p1", "n2p2", "n1p1", "n1p4"):
        for number, server in SERVICES.items():
            for protocol in ("tcp", "udp"):
                # To the pod of another node, clients from elsewhere come by n1's address.
                hidden = not server.startswith("n1") and not client.startswith("n1")
                if client == server:
                    continue
                allowed = is_allowed(client, server, protocol, hidden)
                source = node_address("n1", family) if hidden else source_of(client, family)
                yield Row("nodeport", client, node_address("n1", family), 30000 + number, family,
                          protocol, server, allowed, source)


def to_nodes(family):
    gateway = "10.244.1.1" if family == 4 else "fd02:1::1"
    for client in ("n1p1", "n1p2", "n1p4", "n2p2"):
        for server, address in (
            ("n1", node_address("n1", family)),
            ("n2", node_address("n2", family)),
            ("n1", gateway),
        ):
            for protocol in ("tcp", "udp", "echo"):
                allowed = is_allowed(client, server, protocol)
                # A node with several addresses answers datagrams from another one than was asked.
                if allowed and protocol == "udp":
                    continue
                yield Row("node", client, address, NODE_PORT, family, protocol, server, allowed,
                          source_of(client, family))
    # What listens in the range of NodePorts and is none is the node's as well.
    for client in ("n1p1", "n1p4"):
        yield Row("node", client, node_address("n1", family), NODE_PORT_RANGE, family, "tcp", "n1",
                  is_allowed(client, "n1", "tcp"), source_of(client, family))


def rows():
    for family in (4, 6):
        yield from direct(family)
        yield from through_service(family)
        yield from on_node_port(family)
        yield from to_nodes(family)


# --- what does happen ---------------------------------------------------------------------


def echo(address, family, source=None):
    """One echo request: "pong", "refused" or "silent"."""
    if family == 4:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    else:
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
    s.settimeout(TIMEOUT)
    try:
        if source:
            s.bind((source, 0))
        s.connect((address, 0))
        s.send(struct.pack("!BBHHH", 8 if family == 4 else 128, 0, 0, 0, 1) + b"lab")
        return "pong" if s.recv(2048)[:1] in (b"\0", b"\x81") else "something else"
    except (ConnectionRefusedError, PermissionError):
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return f"error: {error}"
    finally:
        s.close()


def answer_to(row):
    enter("ext" if row.client.startswith("ext") else row.client)
    source = client_address(row.client, row.family) if row.client.startswith("ext") else None
    if row.protocol == "echo":
        return echo(row.address, row.family, source)
    return ask(row.address, row.port, row.family, row.protocol, TIMEOUT, source)


def told(row):
    """As `answer_to`; TCP ignores an error that comes while its socket is busy, so that silence
    where a refusal is due is asked about once more."""
    answer = answer_to(row)
    return answer_to(row) if answer == "silent" and not row.allowed else answer


def fault_of(row, answer):
    if not row.allowed:
        return None if answer == "refused" else f"{answer!r}, not refused"
    if row.protocol == "echo":
        return None if answer == "pong" else f"{answer!r}, not answered"
    who, shown = (answer.split() + ["", ""])[:2]
    if who != row.server:
        return f"{answer!r}, not answered by {row.server}"
    # A node, or a pod that asks itself, has several addresses to choose from.
    if row.source and row.client != row.server and shown != row.source:
        return f"{who} saw {shown}, not {row.source}"
    return None


def probe():
    table = list(rows())
    wrong = collections.Counter()
    # Threads: setns moves the calling thread alone.
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        answers = pool.map(told, table)
        for row, answer in zip(table, answers):
            fault = fault_of(row, answer)
            if fault:
                wrong[row.way, row.family] += 1
                print("FAIL  row", *row[:7], ":", fault, flush=True)
    for way in ("pod", "service", "nodeport", "node"):
        for family in (4, 6):
            asked = [row for row in table if (row.way, row.family) == (way, family)]
            refused = sum(not row.allowed for row in asked)
            bad = wrong[way, family]
            print(f"{'FAIL ' if bad else 'ok   '} to a {way}, IPv{family}: {len(asked)} rows, "
                  f"{refused} of them refused, {bad} wrong")
    return sum(wrong.values())


# --- messages that networks need ----------------------------------------------------------


def received(pod, family):
    """How many destination-unreachable (IPv4) or packet-too-big (IPv6) messages a pod got."""
    def read():
        enter(pod)
        # The thread's own view; /proc/net is the main thread's.
        with open(f"/proc/thread-self/net/{'snmp' if family == 4 else 'snmp6'}") as f:
            text = f.read()
        if family == 6:
            return next(int(l.split()[1]) for l in text.splitlines() if l.startswith("Icmp6InPktTooBigs"))
        head, values = [l.split() for l in text.splitlines() if l.startswith("Icmp:")]
        return int(values[head.index("InDestUnreachs")])
    return in_thread(read)


def in_thread(function, *arguments):
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(function, *arguments).result()


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send_error(pod, family):
    """From a client that the policy refuses: the packet that is complained of was never sent."""
    enter("ext")
    address = pod_address(pod, family)
    inside = struct.pack("!HHHH", 4711, 4712, 8, 0)
    if family == 4:
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 1, 0, 64, 17, 0,
                             socket.inet_aton(address), socket.inet_aton("10.1.2.101"))
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        message = struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + header + inside
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        s.bind(("10.1.2.101", 0))
    else:
        header = struct.pack("!IHBB", 0x60000000, 8, 17, 64) + socket.inet_pton(
            socket.AF_INET6, address) + socket.inet_pton(socket.AF_INET6, "fd01:2::101")
        message = struct.pack("!BBHI", 2, 0, 0, 1400) + header + inside
        s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        s.bind(("fd01:2::101", 0))
    s.sendto(message, (address, 0))
    s.close()


def errors():
    failed = 0
    for family in (4, 6):
        for pod in ("n1p2", "n1p4"):
            before = received(pod, family)
            in_thread(send_error, pod, family)
            end = time.monotonic() + TIMEOUT
            while received(pod, family) == before and time.monotonic() < end:
                time.sleep(0.02)
            faults = [] if received(pod, family) > before else ["it did not arrive"]
            what = "fragmentation needed" if family == 4 else "packet too big"
            failed += truth.verdict(f"{what} from outside reaches {pod}", faults)
    return failed


# --- a stream -----------------------------------------------------------------------------


def stream_rows():
    wanted = [
        ("pod", "n1p1", "n1p2"), ("pod", "n1p3", "n1p2"), ("pod", "n1p4", "n1p3"),
        ("pod", "n2p2", "n1p2"), ("pod", "n3p1", "n1p2"), ("pod", "n1", "n1p2"),
        ("pod", "ext2", "n1p2"), ("service", "n1p1", "n1p2"), ("service", "n1p3", "n1p2"),
        ("service", "n1p4", "n2p1"), ("service", "n1p4", "n1p3"), ("nodeport", "ext", "n1p2"),
        ("nodeport", "ext2", "n1p2"), ("node", "n1p4", "n1"), ("node", "n1p1", "n1"),
    ]
    for row in rows():
        if (row.way, row.client, row.server) in wanted and row.protocol == "tcp":
            yield row


def stream(stop):
    table = list(stream_rows())
    faults, counts = [], collections.Counter()

    def run(mine):
        while not os.path.exists(stop):
            for row in mine:
                answer = answer_to(row)
                # Where rules change hands a refusal may be silent; an answer is a leak.
                fault = fault_of(row, answer) if row.allowed or answer != "silent" else None
                counts[row.allowed] += 1
                if fault:
                    faults.append(f"{time.strftime('%T')} {' '.join(map(str, row[:7]))}: {fault}")

    workers = 6
    with concurrent.futures.ThreadPoolExecutor(max_workers=workers) as pool:
        for done in [pool.submit(run, table[n::workers]) for n in range(workers)]:
            done.result()
    text = f"asked without pause: {counts[True]} allowed, {counts[False]} refused, {len(faults)} wrong"
    if min(counts[True], counts[False]) < len(table):
        faults.append("too few for a stream")
    return truth.verdict(text, faults[:20])


def questions(*all_of_them):
    def run(question):
        client, address, protocol, source = (question.split(",") + [None])[:4]
        family = 6 if ":" in address else 4
        enter(client)
        if protocol == "echo":
            return echo(address, family, source)
        return ask(address, PORT, family, protocol, TIMEOUT, source).split()[0]

    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        print(*pool.map(run, all_of_them))
    return 0


if __name__ == "__main__":
    start = time.monotonic()
    action, arguments = sys.argv[1], sys.argv[2:]
    if action == "manifests":
        manifests(*arguments)
        sys.exit(0)
    if action == "pod":
        print(pod_text(arguments[0], "b", arguments[1], "free"))
        sys.exit(0)
    actions = {"probe": probe, "errors": errors, "stream": stream, "ask": questions}
    status = actions[action](*arguments)
    if action != "ask":
        print(f"      ({time.monotonic() - start:.0f} s)")
    sys.exit(1 if status else 0)
