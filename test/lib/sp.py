"""A request in nng's wire protocol over a Unix socket, so that a test can send what a service would not."""
import json
import socket
import struct

REQ = 0x30


def request(path, kind, body, timeout=5):
    """Sends one message of our envelope and returns the answer's (type, body)."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(timeout)
        peer.connect(path)
        peer.sendall(struct.pack(">4sHH", b"\0SP\0", REQ, 0))
        receive(peer, 8)
        text = json.dumps({"v": 1, "type": kind, "id": "e2e", "body": body}).encode()
        payload = struct.pack(">I", 0x80000001) + text
        peer.sendall(struct.pack(">BQ", 1, len(payload)) + payload)
        _, length = struct.unpack(">BQ", receive(peer, 9))
        answer = json.loads(receive(peer, length)[4:])
        return answer["type"], answer.get("body")


def receive(peer, count):
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            raise ConnectionError("the peer hung up")
        data += piece
    return data
