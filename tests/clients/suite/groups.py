"""Checks of consumer groups: who owns what, what a crash does, what was committed."""

import signal
import time

import raw
from kit import DEADLINE, check, equal, error_of, expect, for_each, name_of, partitions_of, wait, wait_owned, wait_values

# Kafka's smallest session timeout, and what a member's silence may be shorter than it by: its heartbeat and our clock.
SESSION, SLACK = 6.0, 1.5
LATE = {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "COMMIT_FAILED"}


def _pair(ctx, topic, group, partitions, **settings):
    """Two members that share a topic; with `instances` they are static."""
    names = settings.pop("instances", (None, None))
    first = ctx.member(group, topic, instance=names[0], **settings)
    second = ctx.member(group, topic, instance=names[1], **settings)
    wait_owned([first, second], partitions_of(topic, partitions))
    return first, second


@check
def group_join_leave(ctx):
    topic, group = ctx.topic(6), ctx.name_of("g")
    first = ctx.member(group, topic)
    wait_owned([first], partitions_of(topic, 6))
    wait_values([first], ctx.fill(topic, 6, 10, "alone"))
    second = ctx.member(group, topic)
    wait_owned([first, second], partitions_of(topic, 6))
    values = ctx.fill(topic, 6, 10, "both")
    wait_values([first, second], values)
    expect(values & set(first.values()) and values & set(second.values()), "one of two members got everything")
    begun = time.monotonic()
    second.do("leave")
    wait_owned([first], partitions_of(topic, 6))
    expect(time.monotonic() - begun < 25, "the partitions of one that left came as late as those of one that died")
    wait_values([first], ctx.fill(topic, 6, 10, "again"))


@check
def group_crash(ctx):
    """A member is killed: its partitions go to the other one when its session is over, not before, and what it had not committed comes again."""
    topic, group = ctx.topic(6), ctx.name_of("g")
    first, second = _pair(ctx, topic, group, 6, session_ms=int(SESSION * 1000))
    values = ctx.fill(topic, 6, 10, "v")
    wait_values([first, second], values)
    first.do("commit", mode="sync")
    lost = second.owned()
    second.kill()
    begun = time.monotonic()
    wait_owned([first], partitions_of(topic, 6))
    expect(time.monotonic() - begun > SESSION - SLACK, f"a killed member was forgotten after {time.monotonic() - begun:.1f} s")
    again = {f"v-{p}-{i}" for _, p in lost for i in range(10)}
    wait_values([first], again)


@check
def group_three_crash(ctx):
    """Four members over eight partitions; three are killed at once."""
    topic, group = ctx.topic(8), ctx.name_of("g")
    members = [ctx.member(group, topic, session_ms=int(SESSION * 1000)) for _ in range(4)]
    wait_owned(members, partitions_of(topic, 8))
    wait_values(members, ctx.fill(topic, 8, 5, "four"))
    for member in members[1:]:
        member.kill()
    wait_owned(members[:1], partitions_of(topic, 8))
    wait_values(members[:1], ctx.fill(topic, 8, 5, "one"))


@check
def group_two_topics(ctx):
    topics = sorted([ctx.topic(2), ctx.topic(2)])
    group = ctx.name_of("g")
    first = ctx.member(group, topics)
    second = ctx.member(group, topics)
    wait_owned([first, second], partitions_of(topics[0], 2) | partitions_of(topics[1], 2))
    wait_values([first, second], ctx.fill(topics[0], 2, 10, "a") | ctx.fill(topics[1], 2, 10, "b"))


@check
def static_restart(ctx):
    """A static member is killed and comes back within its session: it has its partitions again and the other one noticed nothing."""
    topic, group = ctx.topic(6), ctx.name_of("g")
    first, second = _pair(ctx, topic, group, 6, instances=("one", "two"))
    wait_values([first, second], ctx.fill(topic, 6, 5, "before"))
    second.do("commit", mode="sync")
    had, seen = second.owned(), len(first.changes())
    second.kill()
    again = ctx.member(group, topic, instance="two")
    wait(lambda: again.owned() == had, lambda: f"the partitions of the static member; {again.state()}")
    values = ctx.fill(topic, 6, 5, "after")
    wait_values([first, again], values)
    expect(not [v for v in again.values() if v.startswith("before")], "committed records came again")
    equal(len(first.changes()), seen, "changes that the other member saw")
    equal(first.owned() | again.owned(), partitions_of(topic, 6), "partitions")


@check
def static_fenced(ctx):
    """A second member with the same instance id takes over; the first is told."""
    topic, group = ctx.topic(4), ctx.name_of("g")
    first = ctx.member(group, topic, instance="same")
    wait_owned([first], partitions_of(topic, 4))
    second = ctx.member(group, topic, instance="same")
    wait_owned([second], partitions_of(topic, 4))
    # Some clients say it while they poll, some only when the application commits.
    end = time.monotonic() + DEADLINE
    while "FENCED_INSTANCE_ID" not in first.errors():
        if error_of(first.ask("commit", mode="sync", offsets=[[topic, 0, 0]])) == "FENCED_INSTANCE_ID":
            break
        expect(time.monotonic() < end, f"not told of FENCED_INSTANCE_ID; {first.state()}")
    wait_values([second], ctx.fill(topic, 4, 5, "v"))


@check
def cooperative(ctx):
    """A member that joins takes only what it gets: the others keep and read the rest all the time."""
    topic, group = ctx.topic(6), ctx.name_of("g")
    first = ctx.member(group, topic, assignor="cooperative-sticky")
    wait_owned([first], partitions_of(topic, 6))
    second = ctx.member(group, topic, assignor="cooperative-sticky")
    wait_owned([first, second], partitions_of(topic, 6))
    equal(first.revoked(), second.owned(), "partitions that the first one gave up")
    equal(second.revoked(), set(), "partitions that the second one gave up")
    wait_values([first, second], ctx.fill(topic, 6, 5, "two"))
    second.do("leave")
    wait_owned([first], partitions_of(topic, 6))
    wait_values([first], ctx.fill(topic, 6, 5, "one"))


@check
def cooperative_crash(ctx):
    topic, group = ctx.topic(6), ctx.name_of("g")
    first, second = _pair(ctx, topic, group, 6, assignor="cooperative-sticky", session_ms=int(SESSION * 1000))
    kept, before = first.owned(), first.revoked()
    second.kill()
    wait_owned([first], partitions_of(topic, 6))
    equal(first.revoked(), before, "partitions that the survivor gave up")
    expect(kept <= first.owned(), "the survivor lost partitions")
    wait_values([first], ctx.fill(topic, 6, 5, "v"))


@check
def commit_sync(ctx):
    """Named offsets are committed, the member is killed: the next one begins exactly there."""
    topic, group = ctx.topic(2), ctx.name_of("g")
    values = ctx.fill(topic, 2, 20, "v")
    first = ctx.member(group, topic, session_ms=int(SESSION * 1000))
    wait_values([first], values)
    first.do("commit", mode="sync", offsets=[[topic, 0, 7], [topic, 1, 11]])
    first.kill()
    equal(_committed(ctx, group, topic, 2), [7, 11], "committed offsets")
    second = ctx.member(group, topic, session_ms=int(SESSION * 1000))
    wait_values([second], {f"v-0-{i}" for i in range(7, 20)} | {f"v-1-{i}" for i in range(11, 20)})
    equal(len(second.records()), 13 + 9, "records after the restart")


@check
def commit_async(ctx):
    """What was read is committed while it runs on; the next member gets only what is new."""
    _commit_and_leave(ctx, auto=False)


@check
def commit_auto(ctx):
    _commit_and_leave(ctx, auto=True)


def _commit_and_leave(ctx, auto):
    topic, group = ctx.topic(2), ctx.name_of("g")
    values = ctx.fill(topic, 2, 20, "old")
    first = ctx.member(group, topic, auto_commit=auto)
    wait_values([first], values)
    if not auto:
        first.do("commit", mode="async")
    first.do("leave")
    equal(_committed(ctx, group, topic, 2), [20, 20], "committed offsets")
    new = ctx.fill(topic, 2, 5, "new")
    second = ctx.member(group, topic)
    wait_values([second], new)
    equal(set(second.values()), new, "records after the restart")


def _committed(ctx, group, topic, partitions):
    return [ctx.client.do("committed", group=group, topic=topic, partition=p)["offset"] for p in range(partitions)]


@check
def zombie(ctx):
    """A member sleeps through its session and wakes up: its commit is refused, what the new owner committed stands."""
    topic, group = ctx.topic(4), ctx.name_of("g")
    first, second = _pair(ctx, topic, group, 4, session_ms=int(SESSION * 1000))
    wait_values([first, second], ctx.fill(topic, 4, 10, "v"))
    partition = sorted(second.owned())[0][1]
    second.signal(signal.SIGSTOP)
    wait_owned([first], partitions_of(topic, 4))
    first.do("commit", mode="sync", offsets=[[topic, partition, 9]])
    late = second.send("commit", mode="sync", offsets=[[topic, partition, 2]])
    second.signal(signal.SIGCONT)
    error = error_of(second.answer(late, "the late commit"))
    expect(error in LATE, f"the late commit: {error}")
    equal(_committed(ctx, group, topic, 4)[partition], 9, "committed offset")


@check
def reset_latest(ctx):
    """A group without offsets that asks for the end sees only what comes later."""
    topic, group = ctx.topic(2), ctx.name_of("g")
    ctx.fill(topic, 2, 10, "old")
    member = ctx.member(group, topic, reset="latest")
    wait_owned([member], partitions_of(topic, 2))
    # The position is looked up after the assignment: until the first value arrives, more are sent.
    end = time.monotonic() + 60
    turn = 0
    while not member.records():
        expect(time.monotonic() < end, f"nothing arrives; {member.state()}")
        ctx.fill(topic, 2, 1, f"new{turn}")
        turn += 1
    expect(not [v for v in member.values() if v.startswith("old")], "old records came")


@check
def group_seek(ctx):
    """A member goes back while it is in the group."""
    topic, group = ctx.topic(2), ctx.name_of("g")
    values = ctx.fill(topic, 2, 10, "v")
    member = ctx.member(group, topic)
    wait_values([member], values)
    member.do("seek", topic=topic, partition=1, offset=4)
    wait(lambda: len(member.records()) >= 26, lambda: f"records again; {member.state()}")
    equal([r["o"] for r in member.records()[20:]], [4, 5, 6, 7, 8, 9], "offsets after the seek")


@check
def group_admin(ctx):
    """List, describe and delete as the client's administration shows them."""
    topic, group = ctx.topic(4), ctx.name_of("g")
    client = ctx.client
    members = _pair(ctx, topic, group, 4)
    members[0].do("commit", mode="sync", offsets=[[topic, 0, 0]])
    expect(group in client.do("groups")["groups"], "the group is not listed")
    told = client.do("describe_group", group=group)
    equal(told["state"].replace(" ", "").lower(), "stable", "state")
    shares = [{tuple(p) for p in m["partitions"]} for m in told["members"]]
    equal(sorted(map(sorted, shares)), sorted(sorted(m.owned()) for m in members), "assignments")
    equal(error_of(client.ask("delete_group", group=group)), "NON_EMPTY_GROUP", "deleting a living group")
    for member in members:
        member.do("leave")
    told = client.do("describe_group", group=group)
    equal((told["state"].lower(), told["members"]), ("empty", []), "state after all left")
    client.do("delete_group", group=group)
    expect(group not in client.do("groups")["groups"], "the deleted group is listed")
    equal(error_of(client.ask("delete_group", group=group)), "GROUP_ID_NOT_FOUND", "deleting it again")


@check
def group_reset_offsets(ctx):
    """The offsets of an empty group are set by its administration; a member begins there."""
    topic, group = ctx.topic(2), ctx.name_of("g")
    ctx.fill(topic, 2, 10, "v")
    ctx.client.do("set_offset", group=group, topic=topic, partition=0, offset=8)
    ctx.client.do("set_offset", group=group, topic=topic, partition=1, offset=3)
    equal(_committed(ctx, group, topic, 2), [8, 3], "offsets")
    member = ctx.member(group, topic)
    want = {"v-0-8", "v-0-9"} | {f"v-1-{i}" for i in range(3, 10)}
    wait_values([member], want)
    equal(set(member.values()), want, "values")


@for_each([100, 3_600_000])
def error_session_timeout(ctx, session):
    topic, group = ctx.topic(2), ctx.name_of("g")
    member = ctx.member(group, topic, session_ms=session)
    wait(lambda: "INVALID_SESSION_TIMEOUT" in member.errors(), lambda: f"INVALID_SESSION_TIMEOUT; {member.state()}")


@check
def error_generation(ctx):
    """Commits and heartbeats that name a wrong generation or member, which no client would send."""
    topic, group = ctx.topic(2), ctx.name_of("g")
    member = ctx.member(group, topic)
    wait_owned([member], partitions_of(topic, 2))
    who = member.do("identity")
    generation, name, broker = who["generation"], who["member"], ctx.settings.broker

    def commit(group, generation, member):
        return name_of(raw.commit(broker, group, generation, member, topic, 0, 5))

    for wrong in (generation + 1, generation - 1):
        equal(commit(group, wrong, name), "ILLEGAL_GENERATION", f"a commit of generation {wrong}")
        equal(name_of(raw.heartbeat(broker, group, wrong, name)), "ILLEGAL_GENERATION", f"a heartbeat of generation {wrong}")
    equal(commit(group, generation, "nobody"), "UNKNOWN_MEMBER_ID", "a commit of an unknown member")
    equal(name_of(raw.heartbeat(broker, group, generation, "nobody")), "UNKNOWN_MEMBER_ID", "a heartbeat of an unknown member")
    equal(commit(group, -1, ""), "UNKNOWN_MEMBER_ID", "a commit by nobody into a living group")
    equal(name_of(raw.heartbeat(broker, "", generation, name)), "INVALID_GROUP_ID", "a heartbeat without a group")
    equal(_committed(ctx, group, topic, 1), [-1], "committed offset")
    equal(commit(group, generation, name), None, "the member's own commit")
    equal(_committed(ctx, group, topic, 1), [5], "committed offset")
