"""An HTTP proxy on loopback between one client and one TLS server, which counts requests and breaks them on demand.

It stands between a service and the API server (plain HTTP to the service, its bearer token added), or between the
API server and the webhook (TLS on both sides). Watches are relayed piece by piece.
"""
import collections
import http.client
import http.server
import json
import select
import socket
import ssl
import struct
import threading
import time

WRITES = ("POST", "PUT", "PATCH", "DELETE")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "http2-settings", "content-length", "host"}
HELD_AT_MOST = 60  # seconds that a black hole swallows a connection

# What can happen to a write. The service is killed before the request reached the server, or after the server
# acted and before the answer came back; the others leave it alive.
KILLS = ("kill-before", "kill-after")
FAULTS = KILLS + ("refuse", "lose-answer", "torn", "watch-cut", "blackhole", "status:409", "status:429", "status:500")


def signature(method, path):
    """What a request is about, without names: "PATCH workspaces/status", "POST mutate"."""
    parts = path.split("?")[0].strip("/").split("/")
    if parts[0] == "api":
        parts = parts[2:]
    elif parts[0] == "apis":
        parts = parts[3:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    return f"{method} {parts[0]}" + (f"/{parts[2]}" if len(parts) > 2 else "")


class Fault:
    """`mode` happens to the `occurrence`-th request (from 1) with this signature, once."""

    def __init__(self, mode, about, occurrence, kill=None):
        self.mode, self.about, self.occurrence, self.kill = mode, about, occurrence, kill
        self.fired = threading.Event()

    def __str__(self):
        return f"{self.mode} {self.about} {self.occurrence}"


class Proxy(http.server.ThreadingHTTPServer):
    """Listens on a free loopback port as soon as it is made; `close` ends it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream_port, tls, token=None, certificate=None, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.upstream_port, self.tls, self.token = upstream_port, tls, token
        self.lock = threading.Lock()
        self.counts, self.fault = collections.Counter(), None
        self.generation = 0  # of connections: grows when a black hole swallows those before
        self.links = {}  # fd of a client -> (client, upstream) of a watch
        self.poll = select.epoll()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        threading.Thread(target=self.reap, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()
        self.poll.close()

    def handle_error(self, request, client_address):
        pass  # a connection that breaks is what this is for

    def arm(self, fault):
        """Counts from zero, and breaks what `fault` says (None: nothing)."""
        with self.lock:
            self.counts.clear()
            self.fault = fault

    def claim_fault(self, about):
        """Counts one request; the fault that happens to it, or None."""
        with self.lock:
            self.counts[about] += 1
            fault = self.fault
            if fault and not fault.fired.is_set() and (about, self.counts[about]) == (fault.about, fault.occurrence):
                fault.fired.set()
                return fault
        return None

    # --- watches: when the client hangs up, the upstream connection must go too

    def link(self, client, upstream):
        with self.lock:
            self.links[client.fileno()] = (client, upstream)
            self.poll.register(client.fileno(), select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)

    def unlink(self, descriptor):
        with self.lock:
            if self.links.pop(descriptor, None):
                self.poll.unregister(descriptor)

    def reap(self):
        while True:
            try:
                ready = self.poll.poll(1)
            except (OSError, ValueError):
                return  # closed
            for descriptor, _ in ready:
                with self.lock:
                    pair = self.links.pop(descriptor, None)
                    if pair:
                        self.poll.unregister(descriptor)
                if pair:
                    hang_up(pair[1])

    def cut_watches(self):
        with self.lock:
            pairs = list(self.links.values())
        for client, upstream in pairs:
            hang_up(client)
            hang_up(upstream)

    def swallow(self):
        """All connections of now become silent; new ones work."""
        with self.lock:
            self.generation += 1


def hang_up(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of the client, with one connection to the server behind it."""

    protocol_version = "HTTP/1.1"
    upstream = None

    def setup(self):
        super().setup()
        self.generation = self.server.generation

    def finish(self):
        if self.upstream:
            self.upstream.close()
        super().finish()

    def log_message(self, *_):
        pass

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        fault = self.server.claim_fault(signature(self.command, self.path)) if self.command in WRITES else None
        mode = fault.mode if fault else ""
        if mode == "watch-cut":
            self.server.cut_watches()
        elif mode == "blackhole":
            self.server.swallow()
        elif mode == "kill-before":
            fault.kill()
        if mode in ("kill-before", "refuse"):
            return self.reset()
        if mode.startswith("status:"):
            return self.refuse_with(int(mode.split(":")[1]))
        response = self.forward(body)
        if "watch=" in self.path and response.status == 200:
            return self.relay_watch(response)
        answer = response.read()
        if self.silent():
            return None
        if mode == "kill-after":
            fault.kill()
        if mode in ("kill-after", "lose-answer"):
            return self.reset()
        return self.answer(response, answer, torn=mode == "torn")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relay

    def forward(self, body):
        headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP_BY_HOP}
        if self.server.token:
            headers["Authorization"] = f"Bearer {self.server.token}"
        if self.upstream is None:
            self.upstream = http.client.HTTPSConnection("127.0.0.1", self.server.upstream_port,
                                                        context=self.server.tls, timeout=330)
        self.upstream.request(self.command, self.path, body, headers)
        return self.upstream.getresponse()

    def answer(self, response, body, torn=False):
        self.send_response(response.status)
        for key, value in response.getheaders():
            if key.lower() not in HOP_BY_HOP | {"date", "server"}:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:len(body) // 2] if torn else body)
        self.close_connection = torn or self.close_connection

    def relay_watch(self, response):
        self.send_response(200)
        self.send_header("Content-Type", response.getheader("Content-Type", "application/json"))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        descriptor = self.connection.fileno()
        self.server.link(self.connection, self.upstream.sock)
        try:
            while piece := response.read1(65536):
                if self.silent():
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            self.server.unlink(descriptor)

    def refuse_with(self, status):
        reason = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}[status]
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
                           "reason": reason, "message": f"made up by the test: {reason}"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reset(self):
        """Ends the connection as a crash does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def silent(self):
        """In a black hole: says nothing more, until the client gives up."""
        if self.generation >= self.server.generation:
            return False
        end = time.monotonic() + HELD_AT_MOST
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP)
        while time.monotonic() < end and not poll.poll(500):
            pass
        self.close_connection = True
        return True
