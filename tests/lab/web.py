#!/usr/bin/python3
"""One process that is the web server of many pods: for each namespace named on the
command line it serves HTTP there.

  /                         one line: which pod answers, and who it thinks is asking
  /download?until=FILE      bytes until FILE exists, the last 32 their SHA-256

usage: web.py PORT NAMESPACE...
"""
import ctypes
import hashlib
import http.server
import itertools
import os
import socket
import sys
import threading
import time
import urllib.parse

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def plain(address):
    return address.removeprefix("::ffff:")


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/download":
            query = urllib.parse.parse_qs(url.query)
            self.download(query["until"][0])
        else:
            asked = self.connection.getsockname()[0]
            line = f"{self.server.pod} (asked by {plain(self.client_address[0])} at {plain(asked)})\n"
            self.reply(len(line))
            self.wfile.write(line.encode())

    def download(self, flag):
        self.reply(None)
        digest = hashlib.sha256()
        for i in itertools.count():
            block = i.to_bytes(8, "big") * 128
            digest.update(block)
            self.wfile.write(block)
            if os.path.exists(flag):
                break
            time.sleep(0.01)
        self.wfile.write(digest.digest())

    def reply(self, length):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        pass


for name in sys.argv[2:]:
    fd = os.open("/run/netns/" + name, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns " + name)
    os.close(fd)
    server = Server(("::", int(sys.argv[1])), Handler)
    server.pod = name
    threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
