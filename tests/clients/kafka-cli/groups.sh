# Sourced by `run`: checks of consumer groups with Kafka's own tools. They build on each other, in the order of must-pass.txt.
G=$T.consumer.group.ConsumerGroupCommand

# until_true SECONDS COMMAND...: tries until it succeeds.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || { echo "not in time: $*"; return 1; }
    sleep 0.2
  done
}

console_group() {
  k $T.TopicCommand $B --create --topic "$R-g" --partitions 6
  seq 1 1000 | k $T.ConsoleProducer $B --topic "$R-g"
  k $T.consumer.ConsoleConsumer $B --topic "$R-g" --from-beginning --group "$R-g1" --max-messages 1000 --timeout-ms 30000 | sort -n > "$WORK/group.out"
  seq 1 1000 | cmp - "$WORK/group.out"
  # Once more: everything was committed.
  [ "$(k $T.consumer.ConsoleConsumer $B --topic "$R-g" --from-beginning --group "$R-g1" --timeout-ms 4000 | wc -l)" = 0 ]
}
group_list() {
  k $G $B --list | has "^$R-g1$"
  k $G $B --list --state Empty | has "^$R-g1 +Empty"
  k $T.GroupsCommand $B --list | has "^$R-g1 +Classic +consumer"
}
group_describe() {
  k $G $B --describe --group "$R-g1" > "$WORK/describe"
  cat "$WORK/describe"
  [ "$(awk -v topic="$R-g" '$2 == topic { at += $4; end += $5; lag += $6; n++ } END { print n, at, end, lag }' "$WORK/describe")" = '6 1000 1000 0' ]
  k $G $B --describe --group "$R-g1" --state | has "$R-g1 .*Empty +.*0$"
}
group_reset() {
  k $G $B --reset-offsets --group "$R-g1" --topic "$R-g" --to-earliest --dry-run | has "$R-g +0 +0"
  k $G $B --describe --group "$R-g1" | awk -v topic="$R-g" '$2 == topic { lag += $6 } END { exit lag != 0 }'
  k $G $B --reset-offsets --group "$R-g1" --topic "$R-g" --to-earliest --execute | has "$R-g +5 +0"
  [ "$(k $T.consumer.ConsoleConsumer $B --topic "$R-g" --group "$R-g1" --max-messages 1000 --timeout-ms 30000 | sort -u | wc -l)" = 1000 ]
  k $G $B --reset-offsets --group "$R-g1" --all-topics --shift-by -10 --execute > "$WORK/shift"
  cat "$WORK/shift"
  k $G $B --describe --group "$R-g1" | awk -v topic="$R-g" '$2 == topic { lag += $6; n++ } END { exit lag < 10 || n != 6 }'
  k $G $B --reset-offsets --group "$R-g1" --topic "$R-g:0,1" --to-datetime 2020-01-01T00:00:00.000 --execute | has "$R-g +1 +0"
}
group_delete_offsets() {
  k $G $B --delete-offsets --group "$R-g1" --topic "$R-g:0" | has "$R-g +0 +Successful"
  k $G $B --describe --group "$R-g1" > "$WORK/describe"
  lacks "$R-g +0 " < "$WORK/describe"
  has "$R-g +1 " < "$WORK/describe"
}
group_unknown() {
  { k $G $B --describe --group "$R-absent" 2>&1 || true; } | has 'does not exist|not found'
  { k $G $B --delete --group "$R-absent" 2>&1 || true; } | has 'does not exist|not found|could not be deleted|failed'
}
group_delete() {
  k $G $B --delete --group "$R-g1" | has 'successful'
  k $G $B --list > "$WORK/list"
  lacks "^$R-g1$" < "$WORK/list"
}
consumer_perf() {
  k $T.TopicCommand $B --create --topic "$R-perf" --partitions 6
  k $T.ProducerPerformance --topic "$R-perf" --num-records "$RECORDS" --record-size 500 --throughput -1 --bootstrap-server "$BROKER" --command-property acks=all > "$WORK/perf"
  k $T.ConsumerPerformance $B --topic "$R-perf" --num-records "$RECORDS" --timeout 30000 --command-property auto.offset.reset=earliest group.protocol=classic > "$WORK/perf"
  cat "$WORK/perf"
  lacks 'WARN' < "$WORK/perf"
  tail -1 "$WORK/perf" | awk -F', ' -v want="$RECORDS" '{ exit $5 < want }'
}
verifiable_producer() {
  k $T.TopicCommand $B --create --topic "$R-v" --partitions 6
  k $T.VerifiableProducer $B --topic "$R-v" --max-messages 3000 --acks -1 --throughput -1 --repeating-keys 50 > "$WORK/verified"
  [ "$(grep -c '"name":"producer_send_success"' "$WORK/verified")" = 3000 ]
  tail -1 "$WORK/verified" | has '"sent":3000,"acked":3000'
}
verifiable_consumer() {
  k $T.VerifiableConsumer $B --topic "$R-v" --group-id "$R-v1" --max-messages 3000 --reset-policy earliest --group-protocol classic > "$WORK/verified"
  grep '"name":"records_consumed"' "$WORK/verified" | sed 's/.*"count":\([0-9]*\),"partitions".*/\1/;t;s/.*"count":\([0-9]*\)}*$/\1/' | awk '{ n += $1 } END { print n; exit n < 3000 }'
  has '"name":"offsets_committed".*"success":true' < "$WORK/verified"
}

# A member of a group in the background: its output in $WORK/NAME.json, its pid in $WORK/NAME.pid.
member() { # member NAME arguments
  local name=$1
  shift
  java -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.configurationFile="$WORK/log4j2.xml" -cp "$LIBS/*" $T.VerifiableConsumer $B --topic "$R-v" --reset-policy earliest --group-protocol classic --session-timeout 6000 "$@" > "$WORK/$name.json" 2>&1 &
  echo $! > "$WORK/$name.pid"
}
# assigned NAME N: its last assignment names N partitions.
assigned() { [ "$(grep '"name":"partitions_assigned"' "$WORK/$1.json" | tail -1 | grep -o '"partition":' | wc -l)" = "$2" ]; }
ends() { end "$(cat "$WORK/$1.pid")" "${2:-TERM}"; }

members_crash() {
  trap 'ends one KILL; ends two KILL' EXIT
  member one --group-id "$R-v2"
  member two --group-id "$R-v2"
  until_true 60 assigned one 3
  until_true 60 assigned two 3
  k $G $B --describe --group "$R-v2" --members --verbose > "$WORK/members"
  cat "$WORK/members"
  [ "$(grep -c "^$R-v2 .*$R-v" "$WORK/members")" = 2 ]
  k $G $B --describe --group "$R-v2" --state | has "$R-v2 .*range +Stable +2$"
  { k $G $B --delete --group "$R-v2" 2>&1 || true; } | has 'not empty|NonEmpty|is not empty'
  ends two KILL
  until_true 60 assigned one 6
  ends one
  has '"name":"shutdown_complete"' < "$WORK/one.json"
  k $G $B --describe --group "$R-v2" > "$WORK/after"
  awk -v topic="$R-v" '$2 == topic { lag += $6; n++ } END { print n, lag; exit n != 6 || lag != 0 }' "$WORK/after"
}
members_static() {
  trap 'ends one KILL; ends two KILL' EXIT
  member one --group-id "$R-v3" --group-instance-id one
  member two --group-id "$R-v3" --group-instance-id two
  until_true 60 assigned one 3
  until_true 60 assigned two 3
  local before
  before=$(grep -c partitions_assigned "$WORK/one.json")
  # Back within its session: nobody else is rebalanced.
  ends two KILL
  member two --group-id "$R-v3" --group-instance-id two
  until_true 60 assigned two 3
  [ "$(grep -c partitions_assigned "$WORK/one.json")" = "$before" ]
  k $G $B --describe --group "$R-v3" --members > "$WORK/members"
  cat "$WORK/members"
  [ "$(grep -cE "^$R-v3 .* (one|two) " "$WORK/members")" = 2 ]
}
members_cooperative() {
  local strategy="--assignment-strategy org.apache.kafka.clients.consumer.CooperativeStickyAssignor"
  trap 'ends one KILL; ends two KILL' EXIT
  member one --group-id "$R-v4" $strategy
  until_true 60 assigned one 6
  member two --group-id "$R-v4" $strategy
  until_true 60 assigned two 3
  # The first one gave up what the second one got, no more.
  [ "$(grep '"name":"partitions_revoked"' "$WORK/one.json" | grep -o '"partition":' | wc -l)" = 3 ]
  ends two
  until_true 60 grep -q '"name":"shutdown_complete"' "$WORK/two.json"
  until_true 60 regained one 6
}
# regained NAME N: all assignments less all revocations are N partitions.
regained() {
  local got lost
  got=$(grep '"name":"partitions_assigned"' "$WORK/$1.json" | grep -o '"partition":' | wc -l)
  lost=$(grep '"name":"partitions_revoked"' "$WORK/$1.json" | grep -o '"partition":' | wc -l)
  [ $((got - lost)) = "$2" ]
}
e2e_latency() {
  k $T.TopicCommand $B --create --topic "$R-e" --partitions 1
  k $T.EndToEndLatency $B --topic "$R-e" --num-records 500 --producer-acks all --record-size 512 2>&1 | has 'Percentiles: 50th'
}
