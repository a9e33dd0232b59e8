"""Runs the checks of a list against a broker, with one client.

main.py --client NAME --version TEXT --broker HOST:PORT --list FILE --logs DIR [--jobs 4] -- ADAPTER COMMAND…
A check that the list names must pass; a name without a check fails. ALL=1 runs every check there is, ONLY='name name' some.
The last lines: the row of the table, then "N passed, M failed".
"""

import argparse
import concurrent.futures
import os
import random
import socket
import sys
import time
import traceback

import kit
import data  # noqa: F401 (registers its checks)
import groups  # noqa: F401


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("client", "version", "broker", "list", "logs"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("JOBS", "4")))
    parser.add_argument("command", nargs="+")
    settings = parser.parse_args()
    settings.run = f"{os.getpid()}{random.randrange(1000)}"
    os.makedirs(settings.logs, exist_ok=True)
    return settings


def wanted(settings):
    if os.environ.get("ALL"):
        return list(kit.CHECKS)
    with open(settings.list) as file:
        names = [line.split("#")[0].strip() for line in file]
    only = os.environ.get("ONLY", "").split()
    return [n for n in names if n and (not only or n in only)]


def run(name, settings):
    """None if the check holds, else why not; and its seconds."""
    begun = time.monotonic()
    if name not in kit.CHECKS:
        return "there is no such check", 0
    host, port = settings.broker.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        return f"the broker is gone: {error}", 0
    ctx = kit.Context(name, settings)
    try:
        kit.CHECKS[name](ctx)
        reason = None
    except kit.Failed as failed:
        reason = str(failed)
    except Exception:
        reason = traceback.format_exc(limit=-3).strip().replace("\n", " | ")
    finally:
        ctx.close()
    return reason, time.monotonic() - begun


def main():
    settings = arguments()
    names = wanted(settings)
    # The long ones wait most of the time: they go first.
    order = sorted(names, key=lambda n: not any(w in n for w in ("crash", "zombie", "commit_sync", "static")))
    failed = set()
    with concurrent.futures.ThreadPoolExecutor(settings.jobs) as pool:
        jobs = {pool.submit(run, n, settings): n for n in order}
        for job in concurrent.futures.as_completed(jobs):
            name = jobs[job]
            reason, seconds = job.result()
            if reason is None:
                print(f"PASS {name} {seconds:.1f}s", flush=True)
            else:
                failed.add(name)
                print(f"FAIL {name} {seconds:.1f}s: {reason[:900]}", flush=True)
    passed = len(names) - len(failed)
    print(f"| {settings.client} | {settings.version} | {passed} | {len(failed)} |")
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed or not names else 0)


main()
