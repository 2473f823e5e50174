#!/usr/bin/env python3
"""Runs one webhook and asks it, with no network but this machine's own when `unshare --net` started this.

usage: alone.py CLIENT CA BODY EXPECT SECONDS PORT HEALTH WEBHOOK [FLAG...]
Prints the client's figures: one line of JSON.
"""
import fcntl
import http.client
import socket
import struct
import subprocess
import sys
import time

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name, flags = struct.unpack("16sh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0))[:18])
        if not flags & IFF_UP:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", name, flags | IFF_UP))


def is_ready(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def main():
    client, authority, body, expect, seconds, port, health, *webhook = sys.argv[1:]
    raise_loopback()
    with subprocess.Popen(webhook, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 20
            while not is_ready(int(health)):
                if time.monotonic() > end:
                    sys.exit("the webhook is not ready")
                time.sleep(0.05)
            subprocess.run([client, "ask", port, "/validate", authority, body, expect, "4", seconds], check=True,
                           timeout=float(seconds) + 30)
        finally:
            server.kill()


main()
