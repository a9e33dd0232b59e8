"""Checks of topics, records, positions and errors: everything that needs no group."""

import time

import raw
from kit import check, equal, error_of, expect, for_each


def _round_trip(ctx, each, sure=0, **settings):
    """Records in three partitions, written by the client and read back by it: same order, offsets without a gap.

    The first `sure` of them are acknowledged in any case.
    """
    topic = ctx.topic(3)
    records = [{"p": p, "k": f"key {i % 7}", "v": f"record {i} of partition {p} " + "abcdefgh" * (i % 40)} for i in range(each) for p in range(3)]
    if sure:
        ctx.produce(topic, records[:sure], **{**settings, "acks": "all"})
    ctx.produce(topic, records[sure:], **settings)
    for p in range(3):
        want = [(i, r["k"], r["v"]) for i, r in enumerate(r for r in records if r["p"] == p)]
        got = [(r["o"], r["k"], r["v"]) for r in ctx.read(topic, p, each)]
        equal(len(got), len(want), f"records in partition {p}")
        for one, other in zip(got, want):
            equal(one, other, f"partition {p}")
    return topic


@for_each(raw.CODECS)
def codec(ctx, name):
    topic = _round_trip(ctx, 400, codec=name)
    used = set()
    for p in range(3):
        heads = raw.batches(ctx.settings.broker, topic, p)
        # librdkafka sends a small batch as it is when compressing it gains nothing.
        plain = [b for b in heads if b["codec"] != name and not (b["codec"] == "none" and b["count"] < 10)]
        equal(plain, [], f"batches of another codec in partition {p}")
        used |= {b["codec"] for b in heads}
    expect(name in used, f"no batch is compressed by {name}: {used}")


@for_each(["0", "1", "all"])
def acks(ctx, level):
    # Without acknowledgements nobody hears that a new partition is not ready yet: it is, after the first records.
    _round_trip(ctx, 200, sure=3 if level == "0" else 0, acks=level)


@check
def idempotent(ctx):
    topic = _round_trip(ctx, 400, idempotent=True)
    for p in range(3):
        heads = raw.batches(ctx.settings.broker, topic, p)
        equal(len({(b["producer"], b["epoch"]) for b in heads}), 1, f"producers of partition {p}")
        expect(heads[0]["producer"] >= 0, "no producer id in the batches")
        sequence = 0
        for b in heads:
            equal(b["sequence"], sequence, f"sequence of the batch at {b['base']}")
            sequence += b["count"]


@check
def keys_order(ctx):
    """Keys meet their partition, always the same, and keep their order there."""
    topic = ctx.topic(6)
    records = [{"k": f"key-{key}", "v": f"{key} {turn}"} for turn in range(30) for key in range(40)]
    ctx.produce(topic, records, codec="gzip")
    home, last, used = {}, {}, set()
    total = 0
    for p in range(6):
        end = ctx.client.do("offsets", topic=topic, partition=p, at="end")["offset"]
        for r in ctx.read(topic, p, end) if end else []:
            key, turn = r["v"].split()
            equal(home.setdefault(r["k"], p), p, f"partition of {r['k']}")
            equal(r["k"], f"key-{key}", "key of a value")
            equal(int(turn), last.get(r["k"], -1) + 1, f"turn of {r['k']}")
            last[r["k"]] = int(turn)
            used.add(p)
            total += 1
    equal(total, len(records), "records")
    expect(len(used) >= 3, f"40 keys in partitions {used} only")


@check
def headers_and_times(ctx):
    topic = ctx.topic(2)
    when = 1_700_000_000_000
    ctx.produce(topic, [{"p": 1, "k": "k", "v": "v", "h": [["one", "1"], ["two", "2"]], "ts": when}, {"p": 1, "k": "gone", "v": None, "ts": when + 1}])
    first, second = ctx.read(topic, 1, 2)
    equal(first["h"], [["one", "1"], ["two", "2"]], "headers")
    equal((first["ts"], second["ts"]), (when, when + 1), "timestamps")
    equal((second["k"], second["v"]), ("gone", None), "tombstone")


def _numbered(ctx):
    topic = ctx.topic(2)
    base = 1_700_000_000_000
    ctx.produce(topic, [{"p": p, "v": f"{p}-{i}", "ts": base + 1000 * i} for i in range(50) for p in range(2)])
    return topic, base


@check
def seek_begin(ctx):
    topic, _ = _numbered(ctx)
    equal([r["v"] for r in ctx.read(topic, 1, 50, begin=True)], [f"1-{i}" for i in range(50)], "values")


@check
def seek_end(ctx):
    """The end less five, as the client finds the end."""
    topic, _ = _numbered(ctx)
    equal([r["o"] for r in ctx.read(topic, 1, 5, end=5)], [45, 46, 47, 48, 49], "offsets")


@check
def seek_offset(ctx):
    topic, _ = _numbered(ctx)
    equal([r["o"] for r in ctx.read(topic, 0, 10, offset=17)], list(range(17, 27)), "offsets")


@check
def seek_timestamp(ctx):
    topic, base = _numbered(ctx)
    equal([r["o"] for r in ctx.read(topic, 1, 3, timestamp=base + 20_001)], [21, 22, 23], "offsets")
    for at, offset in (("begin", 0), ("end", 50), (base, 0), (base + 49_000, 49)):
        equal(ctx.client.do("offsets", topic=topic, partition=1, at=at)["offset"], offset, f"offset at {at}")


@check
def seek_out_of_range(ctx):
    """Beyond the end, the client starts again where it was told to."""
    topic, _ = _numbered(ctx)
    equal([r["o"] for r in ctx.read(topic, 1, 4, offset=1000)], [0, 1, 2, 3], "offsets")


@check
def many_partitions(ctx):
    """Partitions of all shards, written and read by one client."""
    topic = ctx.topic(24)
    values = ctx.fill(topic, 24, 10, "m")
    got = {r["v"] for p in range(24) for r in ctx.read(topic, p, 10)}
    equal(got, values, "values")


@check
def topics(ctx):
    topic = ctx.topic(3, retention_ms=86_400_000)
    # A broker may answer before its own metadata know of a change.
    _until(lambda: topic in ctx.client.do("topics")["topics"], "the new topic is not listed")
    equal(ctx.client.do("describe_topic", topic=topic)["partitions"], 3, "partitions")
    equal(ctx.client.do("topic_config", topic=topic, key="retention.ms")["value"], "86400000", "retention.ms")
    ctx.client.do("delete_topic", topic=topic)
    _until(lambda: topic not in ctx.client.do("topics")["topics"], "the deleted topic is still listed")


def _until(holds, text):
    end = time.monotonic() + 30
    while not holds():
        expect(time.monotonic() < end, text)


@check
def error_topics(ctx):
    topic = ctx.topic(1)
    ask = ctx.client.ask
    equal(error_of(ask("create_topic", topic=topic, partitions=1, configs={})), "TOPIC_ALREADY_EXISTS", "a topic twice")
    equal(error_of(ask("create_topic", topic="bad/name", partitions=1, configs={})), "INVALID_TOPIC_EXCEPTION", "a bad name")
    equal(error_of(ask("create_topic", topic=ctx.name_of("x"), partitions=1, configs={"retention.ms": "soon"})), "INVALID_CONFIG", "a bad config")
    equal(error_of(ask("delete_topic", topic=ctx.name_of("x"))), "UNKNOWN_TOPIC_OR_PARTITION", "deleting what is not there")


@check
def error_unknown_topic(ctx):
    equal(error_of(ctx.client.ask("describe_topic", topic=ctx.name_of("absent"))), "UNKNOWN_TOPIC_OR_PARTITION", "an unknown topic")


@check
def error_too_large(ctx):
    topic = ctx.topic(2, max_message_bytes=4000)
    settings = {"acks": "all", "codec": "none", "idempotent": False}
    answer = ctx.client.ask("produce", topic=topic, records=[{"p": 1, "v": "x" * 9000}], **settings)
    equal(error_of(answer), "MESSAGE_TOO_LARGE", "a record above max.message.bytes")
    equal(ctx.produce(topic, [{"p": 1, "v": "fits"}]), [[1, 0]], "offset of one that fits")
