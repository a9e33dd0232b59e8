#!/usr/bin/env python3
"""Records Kafka frames between a client and a broker, as fixtures for tests/golden.rs.

A TCP proxy: listens on LISTEN, forwards to BROKER (which must advertise LISTEN, so that clients come back
through the proxy), and writes one file per (client, API key, version, shape): the first exchange seen of each.

    tests/golden/frames/capture.py LISTEN_PORT BROKER_PORT OUT_DIR

A fixture is text: one `request <hex>` line, one `response <hex>` line (absent for acks=0), each frame without
its length prefix. Frames above FRAME_BYTES_MAX are left out.
"""
import os
import socket
import struct
import sys
import threading

FRAME_BYTES_MAX = 6000
PER_KIND_MAX = 2

lock = threading.Lock()
seen = {}


def read_frame(sock):
    """One length-prefixed frame, or None at the end of the stream."""
    head = read_exact(sock, 4)
    return None if head is None else read_exact(sock, struct.unpack(">i", head)[0])


def read_exact(sock, count):
    parts = b""
    while len(parts) < count:
        part = sock.recv(count - len(parts))
        if not part:
            return None
        parts += part
    return parts


def keep(out, request, response):
    key, version = struct.unpack(">hh", request[:4])
    if len(request) > FRAME_BYTES_MAX or (response and len(response) > FRAME_BYTES_MAX):
        return
    with lock:
        kind = (key, version)
        number = seen.get(kind, 0)
        if number >= PER_KIND_MAX:
            return
        seen[kind] = number + 1
    path = os.path.join(out, f"k{key:02}_v{version:02}_{number}.txt")
    with open(path, "w") as file:
        file.write(f"request {request.hex()}\n")
        if response:
            file.write(f"response {response.hex()}\n")


def silent(request):
    """True for a Produce request with acks=0, which is not answered."""
    key, version = struct.unpack(">hh", request[:4])
    if key != 0:
        return False
    at = 8
    length = struct.unpack(">h", request[at:at + 2])[0]
    at += 2 + max(length, 0)
    if version >= 9:
        at += 1  # empty tagged fields of the header
        at += 1 + max(request[at] - 1, 0)  # transactional id, compact
    else:
        length = struct.unpack(">h", request[at:at + 2])[0]
        at += 2 + max(length, 0)
    return struct.unpack(">h", request[at:at + 2])[0] == 0


def serve(client, broker_port, out):
    broker = socket.create_connection(("127.0.0.1", broker_port))
    waiting = {}

    def answers():
        try:
            while (frame := read_frame(broker)) is not None:
                request = waiting.pop(struct.unpack(">i", frame[:4])[0], None)
                if request is not None:
                    keep(out, request, frame)
                client.sendall(struct.pack(">i", len(frame)) + frame)
        except OSError:
            pass
        client.close()

    threading.Thread(target=answers, daemon=True).start()
    while (frame := read_frame(client)) is not None:
        if silent(frame):
            keep(out, frame, None)
        else:
            waiting[struct.unpack(">i", frame[4:8])[0]] = frame
        broker.sendall(struct.pack(">i", len(frame)) + frame)
    broker.close()


def main():
    listen_port, broker_port, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.makedirs(out, exist_ok=True)
    listener = socket.create_server(("127.0.0.1", listen_port))
    while True:
        client, _ = listener.accept()
        threading.Thread(target=guarded, args=(client, broker_port, out), daemon=True).start()


def guarded(client, broker_port, out):
    try:
        serve(client, broker_port, out)
    except OSError:
        client.close()


if __name__ == "__main__":
    main()
