"""An adapter of kafka-python for the suite beside it: one JSON object a line on stdin is an operation, answers and events
go to stdout. ../README.md lists the operations.

A consumer of kafka-python belongs to one thread: the main one polls it and takes operations from a queue in between.
"""

import json
import logging
import os
import queue
import sys
import threading
import time

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

BROKER = os.environ["BROKER"]


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def failure(error):
    """Kafka's code, -2 for a commit that came too late, -1000 for what has no code."""
    code = getattr(error, "errno", None)
    if isinstance(error, errors.CommitFailedError):
        code = -2
    return {"error": -1000 if code is None else code, "text": f"{type(error).__name__}: {error}"}


def told(record):
    def text(data):
        return None if data is None else data.decode()

    headers = [[key, value.decode()] for key, value in record.headers]
    return {"t": record.topic, "p": record.partition, "o": record.offset, "k": text(record.key), "v": text(record.value), "ts": record.timestamp, "h": headers}


def produce(r):
    codec = None if r["codec"] == "none" else r["codec"]
    acks = r["acks"] if r["acks"] == "all" else int(r["acks"])
    producer = KafkaProducer(bootstrap_servers=BROKER, acks=acks, compression_type=codec, enable_idempotence=r["idempotent"], linger_ms=5, retries=10)
    futures = []
    for record in r["records"]:
        key, value = record.get("k"), record.get("v")
        futures.append(producer.send(
            r["topic"], partition=record.get("p"), key=key and key.encode(), value=None if value is None else value.encode(),
            headers=[(k, v.encode()) for k, v in record.get("h", [])], timestamp_ms=record.get("ts")))
    try:
        producer.flush(60)
        placed = [future.get(60) for future in futures]
    finally:
        producer.close(5)
    return {"offsets": [[p.partition, p.offset] for p in placed]}


def reader(**settings):
    return KafkaConsumer(bootstrap_servers=BROKER, auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=100, **settings)


def read(r):
    consumer = reader()
    place = TopicPartition(r["topic"], r["partition"])
    consumer.assign([place])
    if "offset" in r:
        consumer.seek(place, r["offset"])
    elif "end" in r:
        consumer.seek_to_end(place)
        consumer.seek(place, consumer.position(place) - r["end"])
    elif "timestamp" in r:
        consumer.seek(place, consumer.offsets_for_times({place: r["timestamp"]})[place].offset)
    else:
        consumer.seek_to_beginning(place)
    records = []
    end = time.monotonic() + r["timeout_ms"] / 1000
    while len(records) < r["count"] and time.monotonic() < end:
        for some in consumer.poll(100).values():
            records += map(told, some)
    consumer.close()
    return {"records": records[:r["count"]]}


def offset_at(r):
    consumer = reader()
    place = TopicPartition(r["topic"], r["partition"])
    try:
        if r["at"] == "begin":
            return {"offset": consumer.beginning_offsets([place])[place]}
        if r["at"] == "end":
            return {"offset": consumer.end_offsets([place])[place]}
        return {"offset": consumer.offsets_for_times({place: r["at"]})[place].offset}
    finally:
        consumer.close()


class Listener(ConsumerRebalanceListener):
    """Tells what is assigned and taken away."""

    def tell(self, event, places):
        say(event=event, partitions=[[p.topic, p.partition] for p in places])

    def on_partitions_assigned(self, assigned):
        self.tell("assigned", assigned)

    def on_partitions_revoked(self, revoked):
        self.tell("revoked", revoked)

    def on_partitions_lost(self, lost):
        self.tell("lost", lost)


class Member:
    """The consumer of this process that is in a group, if there is one."""

    def __init__(self):
        self.consumer = None

    def join(self, r):
        session = r["session_ms"]
        assignor = CooperativeStickyAssignor if r["assignor"] == "cooperative-sticky" else RangePartitionAssignor
        self.consumer = KafkaConsumer(
            *r["topics"], bootstrap_servers=BROKER, group_id=r["group"], group_instance_id=r["instance"], session_timeout_ms=session, heartbeat_interval_ms=min(500, session // 3),
            max_poll_interval_ms=max(300_000, session), request_timeout_ms=max(305_000, session + 5000), connections_max_idle_ms=max(540_000, session + 10_000),
            auto_offset_reset=r["reset"], enable_auto_commit=r["auto_commit"], partition_assignment_strategy=[assignor], fetch_max_wait_ms=100)
        # A leader that assigns before it knows the topics' partitions assigns nothing, and may never notice.
        for topic in r["topics"]:
            self.consumer.partitions_for_topic(topic)
        self.consumer.subscribe(r["topics"], listener=Listener())
        return {}

    def commit(self, r):
        offsets = {TopicPartition(t, p): OffsetAndMetadata(o, "", -1) for t, p, o in r.get("offsets", [])} or None
        if r["mode"] == "sync":
            self.consumer.commit(offsets)
            return {}
        future = self.consumer.commit_async(offsets)
        end = time.monotonic() + 30
        while not future.is_done and time.monotonic() < end:
            self.poll()
        if not future.succeeded():
            raise future.exception or errors.KafkaTimeoutError()
        return {}

    def poll(self):
        try:
            for some in self.consumer.poll(100).values():
                for record in some:
                    say(event="record", **told(record))
        except errors.KafkaError as error:
            say(event="error", **failure(error))
            # What is not to be retried ends the member; another poll would say it again.
            if not getattr(error, "retriable", False):
                self.consumer.close(autocommit=False, timeout_ms=1000)
                self.consumer = None

    def run(self, r):
        op = r["op"]
        if op == "join":
            return self.join(r)
        if op == "commit":
            return self.commit(r)
        if op == "seek":
            self.consumer.seek(TopicPartition(r["topic"], r["partition"]), r["offset"])
            return {}
        if op == "identity":
            known = self.consumer.group_metadata()
            return {"member": known.member_id, "generation": known.generation_id}
        if op == "leave":
            self.consumer.close()
            self.consumer = None
            return {}
        return None


def describe_group(admin, group):
    found = admin.describe_groups([group])[group]
    members = []
    for member in found["members"]:
        assigned = (member["member_assignment"] or {}).get("assigned_partitions", [])
        members.append({"id": member["member_id"], "partitions": [[t["topic"], p] for t in assigned for p in t["partitions"]]})
    return {"state": found["group_state"], "members": members}


def raise_code(code):
    if code:
        raise errors.for_code(code)()


def administer(r):
    admin = KafkaAdminClient(bootstrap_servers=BROKER)
    try:
        return operate(admin, r)
    finally:
        admin.close()


def operate(admin, r):
    op = r["op"]
    if op == "create_topic":
        admin.create_topics({r["topic"]: {"num_partitions": r["partitions"], "replication_factor": 1, "configs": r["configs"]}})
        return {}
    if op == "delete_topic":
        admin.delete_topics([r["topic"]])
        return {}
    if op == "topics":
        return {"topics": list(admin.list_topics())}
    if op == "describe_topic":
        topic, = admin.describe_topics([r["topic"]])
        raise_code(topic["error_code"])
        return {"partitions": len(topic["partitions"])}
    if op == "topic_config":
        configs = admin.describe_configs([ConfigResource("topic", r["topic"], {r["key"]: None})])
        return {"value": configs["topic"][r["topic"]][r["key"]]["value"]}
    if op == "groups":
        return {"groups": [g["group_id"] for g in admin.list_groups()]}
    if op == "describe_group":
        return describe_group(admin, r["group"])
    if op == "delete_group":
        result = admin.delete_groups([r["group"]])
        error = result[r["group"]]
        if error != "OK":
            raise getattr(errors, error)()
        return {}
    place = TopicPartition(r["topic"], r["partition"])
    if op == "committed":
        found = admin.list_group_offsets({r["group"]: None})[r["group"]]
        return {"offset": found[place].offset if place in found else -1}
    if op == "set_offset":
        result = admin.alter_group_offsets(r["group"], {place: OffsetAndMetadata(r["offset"], "", -1)})
        if result[place] is not errors.NoError:
            raise result[place]()
        return {}
    raise ValueError(f"no operation {op}")


def main():
    logging.basicConfig(level=os.environ.get("LOG", "WARNING"), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    operations = queue.Queue()

    def listen():
        for line in sys.stdin:
            operations.put(json.loads(line))
        operations.put(None)

    threading.Thread(target=listen, daemon=True).start()
    member = Member()
    single = {"produce": produce, "read": read, "offsets": offset_at}
    while True:
        try:
            r = operations.get(block=member.consumer is None)
        except queue.Empty:
            member.poll()
            continue
        if r is None:
            return
        try:
            result = single[r["op"]](r) if r["op"] in single else member.run(r)
            if result is None:
                result = administer(r)
        except (errors.KafkaError, ValueError, AssertionError) as error:
            result = failure(error)
        say(id=r["id"], **result)


main()
