"""Requests of our own on a plain socket, in versions without compact encodings.

The heads of the batches in a partition: what a client really sent and the broker really kept. Whether a new topic is
known. Requests in the name of a group member, which no client would send.
"""

import socket
import struct

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def _string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def _ask(broker, key, version, body):
    host, port = broker.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as peer:
        frame = struct.pack(">hhi", key, version, 7) + _string("suite") + body
        peer.sendall(struct.pack(">i", len(frame)) + frame)
        peer.settimeout(30)
        file = peer.makefile("rb")
        size, = struct.unpack(">i", file.read(4))
        answer = file.read(size)
    correlation, = struct.unpack_from(">i", answer)
    assert correlation == 7, correlation
    return answer[4:]


def batches(broker, topic, partition, offset=0):
    """Dicts of codec, base offset, records, producer id, epoch and sequence, for every batch from `offset` on."""
    found = []
    while True:
        more = _fetch(broker, topic, partition, offset)
        if not more:
            return found
        found += more
        offset = more[-1]["base"] + more[-1]["delta"] + 1


def _fetch(broker, topic, partition, offset):
    body = struct.pack(">iiiibi", -1, 0, 0, 1 << 20, 0, 1) + _string(topic) + struct.pack(">iiqi", 1, partition, offset, 1 << 20)
    answer = _ask(broker, 1, 4, body)
    at = 4 + 4
    length, = struct.unpack_from(">h", answer, at)
    at += 2 + length + 4
    _, error, _, _ = struct.unpack_from(">ihqq", answer, at)
    assert error == 0, f"Fetch answered {error}"
    at += 22
    aborted, = struct.unpack_from(">i", answer, at)
    at += 4 + 16 * max(aborted, 0)
    size, = struct.unpack_from(">i", answer, at)
    records = answer[at + 4:at + 4 + size]
    found, at = [], 0
    while at + 61 <= len(records):
        base, length = struct.unpack_from(">qi", records, at)
        if at + 12 + length > len(records):
            break
        attributes, delta = struct.unpack_from(">hi", records, at + 21)
        producer, epoch, sequence, count = struct.unpack_from(">qhii", records, at + 43)
        found.append({"codec": CODECS[attributes & 7], "base": base, "delta": delta, "count": count, "producer": producer, "epoch": epoch, "sequence": sequence})
        at += 12 + length
    return found


def leaders(broker, topic):
    """How many partitions of a topic have a leader; 0 if it is not known (Metadata 4)."""
    answer = _ask(broker, 3, 4, struct.pack(">i", 1) + _string(topic) + b"\0")
    at = 4
    count, = struct.unpack_from(">i", answer, at)
    at += 4
    for _ in range(count):
        size, = struct.unpack_from(">h", answer, at + 4)
        at += 6 + size + 4
        size, = struct.unpack_from(">h", answer, at)
        at += 2 + max(size, 0)
    size, = struct.unpack_from(">h", answer, at)
    at += 2 + max(size, 0) + 4
    _, error, size = struct.unpack_from(">ihh", answer, at)
    at += 8 + size + 1
    count, = struct.unpack_from(">i", answer, at)
    at += 4
    found = 0
    for _ in range(count if error == 0 else 0):
        error, _, leader, replicas = struct.unpack_from(">hiii", answer, at)
        at += 14 + 4 * replicas
        isr, = struct.unpack_from(">i", answer, at)
        at += 4 + 4 * isr
        found += error == 0 and leader >= 0
    return found


def commit(broker, group, generation, member, topic, partition, offset):
    """The error code of an OffsetCommit (2) of one partition."""
    body = _string(group) + struct.pack(">i", generation) + _string(member) + struct.pack(">qi", -1, 1) + _string(topic)
    answer = _ask(broker, 8, 2, body + struct.pack(">iiq", 1, partition, offset) + _string(""))
    return struct.unpack(">h", answer[-2:])[0]


def heartbeat(broker, group, generation, member):
    """The error code of a Heartbeat (0)."""
    return struct.unpack(">h", _ask(broker, 12, 0, _string(group) + struct.pack(">i", generation) + _string(member)))[0]
