"""Workers (processes of a client library), deadlines and topics for the checks.

A worker is an adapter: it reads one JSON object a line, `{"id": 1, "op": "produce", …}`, and answers `{"id": 1, …}`;
what a group member sees comes as `{"event": …}`. ../README.md lists the operations. Nothing sleeps: every change of any
worker wakes whoever waits, and every wait has a deadline and says what it waited for.
"""

import itertools
import json
import os
import signal
import subprocess
import threading
import time

import raw

# One for all: checks wait for what several workers say together.
changed = threading.Condition()
DEADLINE = float(os.environ.get("DEADLINE", "60"))

NAMES = {
    3: "UNKNOWN_TOPIC_OR_PARTITION", 10: "MESSAGE_TOO_LARGE", 17: "INVALID_TOPIC_EXCEPTION", 22: "ILLEGAL_GENERATION",
    24: "INVALID_GROUP_ID", 25: "UNKNOWN_MEMBER_ID", 26: "INVALID_SESSION_TIMEOUT", 27: "REBALANCE_IN_PROGRESS",
    36: "TOPIC_ALREADY_EXISTS", 37: "INVALID_PARTITIONS", 38: "INVALID_REPLICATION_FACTOR", 40: "INVALID_CONFIG",
    68: "NON_EMPTY_GROUP", 69: "GROUP_ID_NOT_FOUND", 82: "FENCED_INSTANCE_ID",
    # What a client says without a code of the broker: its commit came too late.
    -2: "COMMIT_FAILED",
}


class Failed(Exception):
    """A check did not hold."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def equal(got, want, what):
    expect(got == want, f"{what}: got {got!r:.300}, expected {want!r:.300}")


def wait(condition, what, seconds=None):
    """Waits until condition() is true; fails, and says what it waited for, when it does not become so in time."""
    end = time.monotonic() + (DEADLINE if seconds is None else seconds)
    with changed:
        while not condition():
            left = end - time.monotonic()
            text = what() if left <= 0 and callable(what) else what
            expect(left > 0, f"not in time: {text}")
            changed.wait(left)


def name_of(code):
    return NAMES.get(code, str(code)) if code else None


def error_of(answer):
    """The name of the error in an answer, or None."""
    code = answer.get("error")
    return None if code is None else NAMES.get(code, f"{code} {answer.get('text', '')}")


class Worker:
    """A process that runs operations one after the other."""

    ids = itertools.count(1)

    def __init__(self, command, broker, log):
        self.answers = {}
        self.events = []
        self.gone = False
        self.log = log
        env = dict(os.environ, BROKER=broker)
        with open(log, "ab") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if not line.startswith(b"{"):
                continue
            said = json.loads(line)
            with changed:
                if "event" in said:
                    said["at"] = time.monotonic()
                    self.events.append(said)
                else:
                    self.answers[said["id"]] = said
                changed.notify_all()
        with changed:
            self.gone = True
            changed.notify_all()

    def send(self, op, **arguments):
        """Sends an operation and does not wait; `answer` takes what comes back."""
        number = next(self.ids)
        try:
            self.process.stdin.write(json.dumps({"id": number, "op": op, **arguments}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"the worker is gone before {op}: {self.tail()}") from None
        return number

    def answer(self, number, what, seconds=None):
        wait(lambda: number in self.answers or self.gone, lambda: f"answer to {what}; {self.tail()}", seconds)
        expect(number in self.answers, f"the worker died in {what}: {self.tail()}")
        return self.answers.pop(number)

    def ask(self, op, **arguments):
        """The answer, which may be an error."""
        return self.answer(self.send(op, **arguments), op)

    def do(self, op, **arguments):
        """The answer; an error fails the check."""
        answer = self.ask(op, **arguments)
        expect(error_of(answer) is None, f"{op}: {error_of(answer)}: {answer.get('text', '')}")
        return answer

    def tail(self):
        with open(self.log, errors="replace") as file:
            return " | ".join(file.read().strip().splitlines()[-3:])[-600:]

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a crash: no farewell to the broker."""
        self.process.kill()
        self.process.wait()
        self.reader.join()


class Member(Worker):
    """A consumer in a group. What it owns, reads and complains of is computed from its events."""

    def owned(self):
        owned = set()
        for event in list(self.events):
            parts = {tuple(p) for p in event.get("partitions", [])}
            if event["event"] == "assigned":
                owned |= parts
            elif event["event"] in ("revoked", "lost"):
                owned -= parts
        return owned

    def records(self):
        return [e for e in list(self.events) if e["event"] == "record"]

    def values(self):
        return [r["v"] for r in self.records()]

    def changes(self):
        """Assignments, revocations and losses so far that named a partition: a rebalance leaves a trace here."""
        return [e for e in list(self.events) if e["event"] in ("assigned", "revoked", "lost") and e["partitions"]]

    def revoked(self):
        return {tuple(p) for e in self.changes() if e["event"] != "assigned" for p in e["partitions"]}

    def errors(self):
        return [error_of({"error": e["error"], "text": e.get("text")}) for e in list(self.events) if e["event"] == "error"]

    def state(self):
        return f"owns {sorted(self.owned())}, {len(self.records())} records, errors {self.errors()[-3:]}, gone {self.gone}"


class Context:
    """What a check may use: a worker for single operations, members, topics and names of its own."""

    def __init__(self, name, settings):
        self.name = name
        self.settings = settings
        self.prefix = f"{settings.client}-{settings.run}-{name}"
        self.counter = itertools.count(1)
        self.workers = []
        self._worker = None

    def start(self, kind):
        number = len(self.workers) + 1
        worker = kind(self.settings.command, self.settings.broker, os.path.join(self.settings.logs, f"{self.name}-{number}.log"))
        self.workers.append(worker)
        return worker

    @property
    def client(self):
        if self._worker is None:
            self._worker = self.start(Worker)
        return self._worker

    def name_of(self, what):
        return f"{self.prefix}-{what}{next(self.counter)}"

    def topic(self, partitions, **configs):
        name = self.name_of("t")
        self.client.do("create_topic", topic=name, partitions=partitions, configs={k.replace("_", "."): str(v) for k, v in configs.items()})
        # A broker may answer before its own metadata know of the topic; clients then wait for their next refresh.
        end = time.monotonic() + DEADLINE
        while raw.leaders(self.settings.broker, name) < partitions:
            expect(time.monotonic() < end, f"{name} has no leaders")
        return name

    def produce(self, topic, records, **settings):
        """Offsets as [partition, offset], one for each record, in its order."""
        settings = {"acks": "all", "codec": "none", "idempotent": False, **settings}
        return self.client.do("produce", topic=topic, records=records, **settings)["offsets"]

    def fill(self, topic, partitions, each, mark):
        """`each` records in every partition; their values."""
        records = [{"p": p, "v": f"{mark}-{p}-{i}"} for i in range(each) for p in range(partitions)]
        self.produce(topic, records)
        return {r["v"] for r in records}

    def read(self, topic, partition, count, **where):
        where = where or {"offset": 0}
        return self.client.do("read", topic=topic, partition=partition, count=count, timeout_ms=int(DEADLINE * 500), **where)["records"]

    def member(self, group, topics, **settings):
        settings = {"session_ms": 30_000, "assignor": "eager", "reset": "earliest", "instance": None, "auto_commit": False, **settings}
        member = self.start(Member)
        member.do("join", group=group, topics=topics if isinstance(topics, list) else [topics], **settings)
        return member

    def close(self):
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()


CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def for_each(values):
    """One check for each value: its name is the function's with the value behind it."""

    def register(function):
        for value in values:
            CHECKS[f"{function.__name__}_{value}"] = lambda ctx, value=value: function(ctx, value)
        return function

    return register


def partitions_of(topic, count):
    return {(topic, p) for p in range(count)}


def wait_owned(members, want, seconds=None):
    """Waits until the members own exactly `want` together, each partition once, and everybody has the same number (give or take one)."""

    def settled():
        owned = [m.owned() for m in members]
        sizes = [len(o) for o in owned]
        return set().union(*owned) == want and sum(sizes) == len(want) and max(sizes) - min(sizes) <= 1

    wait(settled, lambda: "partitions shared; " + "; ".join(m.state() for m in members), seconds)


def wait_values(members, want, seconds=None):
    """Waits until the members have read all of `want`."""

    def all_there():
        return want <= {v for m in members for v in m.values()}

    def missing():
        left = want - {v for m in members for v in m.values()}
        return f"{len(left)} of {len(want)} values, e.g. {sorted(left)[:3]}; " + "; ".join(m.state() for m in members)

    wait(all_there, missing, seconds)
