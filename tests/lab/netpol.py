#!/usr/bin/python3
"""Network policy, packet by packet: who reaches whom, by which way, with which source address.

Who may is written down here from the API's text, not taken from the daemon. Nodes n1 and n2
enforce; n3 stands in another subnet and does not.

usage: netpol.py manifests DIR     write the cluster as YAML files
       netpol.py probe [N]         try every row, or each Nth, and compare; exit status 1 if one
                                   differs
       netpol.py pod POD NAME      the YAML of one pod more
       netpol.py errors            errors and neighbours reach pods that policies isolate
       netpol.py stream FOLDER     ask without pause until FOLDER/stop is there: what is allowed must
                                   be answered each time, what is refused never; FOLDER/rounds says
                                   how often every row was asked
       netpol.py flows WHAT FILE   open connections when the policy in FILE goes: "keep" or "recheck"
       netpol.py serve             lines of questions CLIENT,ADDRESS,PROTOCOL[,SOURCE]... at port
                                   8080, a line of answers to each: who, "refused" or "silent"
"""
import collections
import concurrent.futures
import errno
import itertools
import os
import random
import select
import socket
import struct
import sys
import time

from truth import ask, enter, pod_address, node_address, outside_address
import truth

# Nothing here may be silent. TCP takes no notice of a refusal that comes while its socket is busy,
# and asks again after one, three and seven seconds.
TIMEOUT = 10.0
PORT, NODE_PORT, NODES = 8080, 9999, ("n1", "n2")
NODE_PORT_RANGE = 31999
# Connections that stay open: their port, and the number of the Service.
OPEN_PORT, OPEN_SERVICE = 8090, 5

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
LOCAL_SERVICES = (1, 3, OPEN_SERVICE)
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

# Goes while connections that it allows are open.
OPEN_POLICY = f"""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: open, namespace: a}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  ingress:
  - ports:
    - {{protocol: TCP, port: {OPEN_PORT}}}
    - {{protocol: UDP, port: {OPEN_PORT}}}
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
    for number, pod in [*SERVICES.items(), (OPEN_SERVICE, "n1p2")]:
        policy = "Local" if number in LOCAL_SERVICES else "Cluster"
        truth.ENDPOINTS[pod] = [pod]
        text = truth.service_text(number, policy, pod)
        # Within the cluster, every pod is asked.
        text = text.replace("internalTrafficPolicy: Local", "internalTrafficPolicy: Cluster")
        if number == OPEN_SERVICE:
            text = text.replace(str(PORT), str(OPEN_PORT))
        with open(f"{folder}/svc-{number}.yaml", "w") as out:
            out.write(text)
    with open(f"{folder}/open.yaml", "w") as out:
        out.write(OPEN_POLICY)
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


# Of each family.
NUMBER_OF_ROWS = {"pod": 150, "service": 44, "nodeport": 46, "node": 29}


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


# IPVS remembers a connection for two minutes. A client that then asks the pod itself from the port
# from which it asked the Service gets answers in the Service's name, and so none: no port is used
# for both.
OF_PODS = itertools.count(random.randrange(20000))
OF_SERVICES = itertools.count(random.randrange(20000))


def next_port(is_service=False):
    count, first = (OF_SERVICES, 40000) if is_service else (OF_PODS, 10000)
    return first + next(count) % 20000


def ask_from_port(address, port, family, protocol, timeout=TIMEOUT, source=None, is_service=False):
    while True:
        answer = ask(address, port, family, protocol, timeout, source, next_port(is_service))
        # Another process of this program's may be at that port.
        if not answer.startswith(f"error: [Errno {errno.EADDRINUSE}]"):
            return answer


def answer_to(row):
    enter("ext" if row.client.startswith("ext") else row.client)
    source = client_address(row.client, row.family) if row.client.startswith("ext") else None
    if row.protocol == "echo":
        return echo(row.address, row.family, source)
    is_service = row.way in ("service", "nodeport")
    return ask_from_port(row.address, row.port, row.family, row.protocol, TIMEOUT, source, is_service)


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


def probe(step="1"):
    step, failed = int(step), 0
    table = list(rows())[::step]
    asked = collections.defaultdict(list)
    # Threads: setns moves the calling thread alone.
    with concurrent.futures.ThreadPoolExecutor(max_workers=24) as pool:
        for row, answer in zip(table, pool.map(answer_to, table)):
            fault = fault_of(row, answer)
            asked[row.way, row.family].append((row, fault))
            if fault:
                print("      row", *row[:7], ":", fault, flush=True)
    for (way, number), family in itertools.product(NUMBER_OF_ROWS.items(), (4, 6)):
        done = asked[way, family]
        refused = sum(not row.allowed for row, _ in done)
        bad = sum(fault is not None for _, fault in done)
        faults = [f"{bad} wrong"] if bad else []
        if not number // step <= len(done) <= number // step + 1 or 0 in (refused, len(done) - refused):
            faults.append(f"not {number // step} rows, allowed and refused ones")
        text = f"to a {way}, IPv{family}: {len(done)} rows, {refused} of them refused"
        failed += truth.verdict(text, faults)
    return failed


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


def stream(folder):
    table = list(stream_rows())
    faults, counts = [], collections.Counter()
    # Few: what is tried besides is to get on.
    workers = 3
    rounds = [0] * workers

    def run(number):
        while not os.path.exists(f"{folder}/stop"):
            for row in table[number::workers]:
                answer = answer_to(row)
                # Where rules change hands a refusal may be silent; an answer is a leak.
                fault = fault_of(row, answer) if row.allowed or answer != "silent" else None
                counts[row.allowed] += 1
                if fault:
                    faults.append(f"{time.strftime('%T')} {' '.join(map(str, row[:7]))}: {fault}")
            rounds[number] += 1
            with open(f"{folder}/rounds.{number}", "w") as out:
                out.write(str(min(rounds)))
            os.replace(f"{folder}/rounds.{number}", f"{folder}/rounds")

    with concurrent.futures.ThreadPoolExecutor(max_workers=workers) as pool:
        for done in [pool.submit(run, number) for number in range(workers)]:
            done.result()
    text = f"asked without pause: {counts[True]} allowed, {counts[False]} refused, {len(faults)} wrong"
    if min(counts[True], counts[False]) < len(table):
        faults.append("too few for a stream")
    return truth.verdict(text, faults[:20])


# --- connections that stay open ------------------------------------------------------------


class Flow:
    """Both ends of one."""

    def __init__(self, protocol, client, address, port, family, server):
        self.name = f"{client} {address} {port} {protocol}"
        # To a frame of a bridge the kernel sends a reset past IPVS, as from the pod and not from
        # the Service that was asked: its sender is not told.
        self.is_told = (protocol, client, port) != ("tcp", "n1p1", truth.vip(OPEN_SERVICE, "cluster", 4)[1])
        self.protocol = protocol
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        enter(client)
        self.client = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
        self.client.bind(("", next_port(port != OPEN_PORT)))
        self.client.settimeout(TIMEOUT)
        self.client.connect((address, port))
        if protocol == "tcp":
            self.server = server["tcp"].accept()[0]
        else:
            self.client.send(b"?")
            self.server = server["udp"]
            self.peer = self.server.recvfrom(64)[1]

    def to_server(self):
        return passage(self.client.send, self.server, self.client)

    def to_client(self):
        send = self.server.send
        if self.protocol == "udp":
            send = lambda data: self.server.sendto(data, self.peer)
        return passage(send, self.client, self.server)


def passage(send, to, sender):
    """What becomes of a message: it "arrived", its sender was told that it is "refused", or "lost"."""
    try:
        send(b"!")
        # The answer to a refused message may come first where the other end was told as well.
        ready = select.select([to, sender], [], [], 3)[0]
        if sender in ready and sender.recv(64) == b"":
            return "refused"
        return "arrived" if to in ready and to.recv(64) == b"!" else "lost"
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return "refused"


def open_servers(pod):
    enter(pod)
    tcp = socket.create_server(("", OPEN_PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("", OPEN_PORT))
    for s in (tcp, udp):
        s.settimeout(TIMEOUT)
    return {"tcp": tcp, "udp": udp}


def open_flows(servers):
    """Those that the policy allows, and those that are none of its business."""
    cut, others = [], []
    for family, protocol in itertools.product((4, 6), ("tcp", "udp")):
        pod = pod_address("n1p2", family)
        vip = truth.vip(OPEN_SERVICE, "cluster", family)
        for client, address in (("n1p1", (pod, OPEN_PORT)), ("n3p1", (pod, OPEN_PORT)), ("n1p1", vip),
                                ("n2p2", vip), ("ext", truth.vip(OPEN_SERVICE, "nodeport", family))):
            cut.append(Flow(protocol, client, *address, family, servers["n1p2"]))
        others.append(Flow(protocol, "n1", pod, OPEN_PORT, family, servers["n1p2"]))
        others.append(Flow(protocol, "n1p3", pod_address("n2p2", family), OPEN_PORT, family, servers["n2p2"]))
    return cut, others


def new_flow(family, server):
    enter("n1p1")
    try:
        with socket.create_connection((pod_address("n1p2", family), OPEN_PORT), TIMEOUT, ("", next_port())):
            server.accept()[0].close()
        return "made"
    except ConnectionRefusedError:
        return "refused"


def until_new_ones(want, server):
    """Waits for the policy's coming or going: new connections show it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        answers = {new_flow(family, server) for family in (4, 6)}
        if answers == {want}:
            return []
    return [f"new connections: {answers}, not {want}"]


def settled(flow, way, want, end):
    """What becomes of messages in the end: flows are looked for once the rules stand."""
    while True:
        fate = way()
        if fate == "lost" and not flow.is_told:
            fate = "refused"
        if want != "refused" or fate == want or time.monotonic() > end:
            return fate


def flows(what, policy):
    # They listen to the end: who is refused is not refused by a pod.
    servers = {pod: open_servers(pod) for pod in ("n1p2", "n2p2")}
    cut, others = open_flows(servers)
    with open(policy) as text:
        kept = text.read()
    table = [("cut", flow) for flow in cut] + [("other", flow) for flow in others]
    before = [f"{flow.name}: {way()}" for _, flow in table for way in (flow.to_server, flow.to_client)]
    faults = [fault for fault in before if not fault.endswith("arrived")]
    os.remove(policy)
    faults += until_new_ones("refused", servers["n1p2"]["tcp"])
    failed = truth.verdict(f"{what}: {len(table)} open connections, {len(cut)} of them allowed no more", faults)
    end = time.monotonic() + 20
    wanted = {"cut": "refused" if what == "recheck" else "arrived", "other": "arrived"}
    for kind, want in wanted.items():
        faults = []
        for number, flow in enumerate(flow for one, flow in table if one == kind):
            ways = [flow.to_server, flow.to_client]
            # A datagram of the server's is a flow of its own, and may pass. A connection must not
            # begin anew with what the server sends: every other is tried from there.
            if want == "refused" and flow.protocol == "udp":
                ways = ways[:1]
            elif number % 4 >= 2:
                ways.reverse()
            found = [settled(flow, way, want, end) for way in ways]
            if set(found) != {want}:
                faults.append(f"{flow.name}: {found}, not {want}")
        failed += truth.verdict(f"{what}: {want}: {kind} connections", faults)
    hidden = os.path.join(os.path.dirname(policy), ".policy")
    with open(hidden, "w") as out:
        out.write(kept)
    os.replace(hidden, policy)
    return failed + truth.verdict(f"{what}: the policy again", until_new_ones("made", servers["n1p2"]["tcp"]))


def serve():
    def run(question):
        client, address, protocol, source = (question.split(",") + [None])[:4]
        family = 6 if ":" in address else 4
        enter(client)
        if protocol == "echo":
            return echo(address, family, source)
        return ask_from_port(address, PORT, family, protocol, TIMEOUT, source).split()[0]

    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        for line in sys.stdin:
            print(*pool.map(run, line.split()), flush=True)
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
    actions = {"probe": probe, "errors": errors, "stream": stream, "flows": flows, "serve": serve}
    status = actions[action](*arguments)
    if action != "serve":
        print(f"      ({time.monotonic() - start:.0f} s)")
    sys.exit(1 if status else 0)
