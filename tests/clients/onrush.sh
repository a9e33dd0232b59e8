# Sourced by scripts that start and end processes of their own. Wants WORK, and ONRUSH where our broker is started.

# free_port: a port on which nobody listens.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { echo $port; return; }
  done
}

# end PID [SIGNAL]: ends a process and waits until it is gone.
end() {
  kill "-${2:-TERM}" "$1" 2> /dev/null || return 0
  while kill -0 "$1" 2> /dev/null; do sleep 0.05; done
}

# onrush_start DIR [key=value...]: our broker over DIR; sets ONRUSH_PID and ONRUSH_PORT. ONRUSH_AT=port chooses the port, for a
# broker that comes back.
onrush_start() {
  local dir=$1 overrides=() setting
  shift
  # ONRUSH_TEST_OVERRIDES: as for the brokers of `cargo test`.
  # shellcheck disable=SC2086
  for setting in "$@" ${ONRUSH_TEST_OVERRIDES:-}; do overrides+=(--override "$setting"); done
  ONRUSH_PORT=${ONRUSH_AT:-$(free_port)}
  "${ONRUSH:?path of the binary}" start --override "listeners=PLAINTEXT://127.0.0.1:$ONRUSH_PORT" --override "log.dirs=$dir" ${overrides[@]+"${overrides[@]}"} >> "$WORK/onrush.log" 2>&1 &
  ONRUSH_PID=$!
  for _ in $(seq 400); do
    (exec 3<> "/dev/tcp/127.0.0.1/$ONRUSH_PORT") 2> /dev/null && return 0
    kill -0 "$ONRUSH_PID" 2> /dev/null || break
    sleep 0.05
  done
  echo "onrush does not start:"
  tail -5 "$WORK/onrush.log"
  return 1
}
