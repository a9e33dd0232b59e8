# Sourced by the runners of log shippers. Wants WORK and ONRUSH; each runner starts and kills a broker of its own.
. "$(dirname "${BASH_SOURCE[0]}")/onrush.sh"
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
passed=0 failed=0

# check NAME: runs the function of that name, in this shell's child, with a broker and a shipper that end with it.
check() {
  local name=$1 begun=$SECONDS status
  mkdir -p "$WORK/$name"
  # Not inside the condition: `set -e` does not hold there.
  (set -e; WORK=$WORK/$name; ONRUSH_PID='' SHIPPER_PID='' SENDER_PID=''; trap end_all EXIT; "$name") > "$WORK/$name.log" 2>&1
  status=$?
  if grep -qs panicked "$WORK/$name"/*.log; then status=1; grep -m3 panicked "$WORK/$name"/*.log >> "$WORK/$name.log"; fi
  if [ $status = 0 ]; then
    passed=$((passed + 1)); echo "PASS $name $((SECONDS - begun))s: $(tail -1 "$WORK/$name.log")"
  else
    failed=$((failed + 1)); echo "FAIL $name $((SECONDS - begun))s"; tail -12 "$WORK/$name.log" | cut -c1-300
  fi
}
end_all() {
  set +e
  local pid
  # Waited for, so that bash does not report their end as the last words of the log.
  for pid in $SENDER_PID $SHIPPER_PID $ONRUSH_PID; do kill -9 "$pid" 2> /dev/null && wait "$pid" 2> /dev/null; done
}
# Ends with the counts, as every runner does. To have checked nothing is no success.
finish() { echo "$passed passed, $failed failed"; [ "$failed" = 0 ] && [ "$passed" != 0 ]; }

# until_true SECONDS WHAT COMMAND...: waits until COMMAND succeeds; fails with what was waited for.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  while ! "$@"; do
    [ $SECONDS -lt $end ] || { echo "waited in vain until $what"; return 1; }
    sleep 0.02
  done
}
listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

kc() { timeout -s KILL 60 kcat -b "127.0.0.1:$ONRUSH_PORT" "$@"; }
# arrived TOPIC: records in its partition 0; 0 while nobody answers.
arrived() { { kc -Q -t "$1:0:-1" 2> /dev/null || true; } | awk '/offset/ { n = $NF } END { print n + 0 }'; }
has_arrived() { [ "$(arrived "$1")" -ge "$2" ]; }
# records TOPIC: the values that are in its partition 0 now. By their count: kcat finds no end while a shipper goes on.
records() { kc -C -t "$1" -p 0 -o beginning -c "$(arrived "$1")" -q; }
# killed: the broker, without a word of warning; back by onrush_back over the same directory and port.
killed() { kill -9 "$ONRUSH_PID"; wait "$ONRUSH_PID" 2> /dev/null || true; }
onrush_back() { ONRUSH_AT=$ONRUSH_PORT onrush_start "$WORK/data"; }

# send FROM TO: numbered lines by TCP to INPUT_PORT, 400 at a time and at most 20,000 a second, so that the kills fall between
# them; how far it is stands in the last line of $WORK/sent.
send() {
  local from=$1 to=$2 last
  exec 4> "/dev/tcp/127.0.0.1/$INPUT_PORT"
  while [ "$from" -le "$to" ]; do
    last=$((from + 399 < to ? from + 399 : to))
    seq -f '<134>Nov 21 08:00:00 shipper app[7]: line %.0f' "$from" "$last" >&4
    echo "$last" >> "$WORK/sent"
    from=$((last + 1))
    sleep 0.02
  done
  exec 4>&-
}
sent() { tail -n 1 "$WORK/sent"; }
has_sent() { [ "$(sent)" -ge "$1" ]; }

# numbers FILE PATTERN WANTED: FILE's lines hold PATTERN and a number; each of 1..WANTED must be there. Says how often any came
# twice, and how often a number came for the first time after a larger one.
numbers() {
  sed -nE "s/.*$2([0-9]+).*/\1/p" "$1" | awk -v wanted="$3" '
    { if ($1 in seen) again++; else { seen[$1]; if ($1 <= wanted) distinct++; if ($1 < largest) late++; else largest = $1 } }
    END {
      for (n = 1; n <= wanted; n++) if (!(n in seen) && shown++ < 5) print "missing: " n
      printf "%d of %d, %d duplicates, %d out of order\n", distinct, wanted, again, late
      exit distinct != wanted
    }'
}
