# Sourced by scripts that run Apache Kafka's classes: `k CLASS arguments`, and a real broker for comparisons.
# Wants WORK; sets LIBS.
. "$(dirname "${BASH_SOURCE[0]}")/onrush.sh"
LIBS=$("$(dirname "${BASH_SOURCE[0]}")/kafka-libs")
T=org.apache.kafka.tools
cat > "$WORK/log4j2.xml" <<'X'
<Configuration><Appenders><Console name="c" target="SYSTEM_ERR"><PatternLayout pattern="%p %c{1} %m%n"/></Console></Appenders><Loggers><Root level="${sys:level:-error}"><AppenderRef ref="c"/></Root></Loggers></Configuration>
X

java_of_kafka() { java -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.configurationFile="$WORK/log4j2.xml" -Dlevel="${LEVEL:-error}" -cp "$LIBS/*" "$@"; }
k() { timeout -s KILL "${PATIENCE:-60}" java -Xmx384m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.configurationFile="$WORK/log4j2.xml" -cp "$LIBS/*" "$@"; }

# kafka_start DIR [key=value...]: a real broker over DIR (formatted if it is empty); sets KAFKA_PID and KAFKA_PORT.
# Node id and cluster id are those of DIR/meta.properties, if it has one.
kafka_start() {
  local dir=$1 node=1 controller
  shift
  KAFKA_PORT=$(free_port); controller=$(free_port)
  [ -e "$dir/meta.properties" ] && node=$(sed -n 's/^node.id=//p' "$dir/meta.properties")
  cat > "$WORK/kafka.properties" <<X
process.roles=broker,controller
node.id=$node
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$controller
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
$(printf '%s\n' "$@")
X
  if [ ! -e "$dir/meta.properties" ]; then
    mkdir -p "$dir"
    java_of_kafka kafka.tools.StorageTool format -t "$(java_of_kafka kafka.tools.StorageTool random-uuid | tail -1)" -c "$WORK/kafka.properties" --standalone > "$WORK/format.log" 2>&1 || { tail -3 "$WORK/format.log"; return 1; }
  fi
  java -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.configurationFile="$WORK/log4j2.xml" -Dlevel=info -cp "$LIBS/*" kafka.Kafka "$WORK/kafka.properties" > "$WORK/kafka.log" 2>&1 &
  KAFKA_PID=$!
  for _ in $(seq 240); do
    grep -q 'Kafka Server started' "$WORK/kafka.log" && return 0
    kill -0 "$KAFKA_PID" 2> /dev/null || break
    sleep 0.25
  done
  echo "Kafka does not start:"; grep -E 'ERROR|FATAL|Exception' "$WORK/kafka.log" | head -5; tail -3 "$WORK/kafka.log"
  return 1
}

# dump_log FILES...: DumpLogSegments over them; fails if it finds anything wrong.
dump_log() {
  local files
  files=$(IFS=,; echo "$*")
  k kafka.tools.DumpLogSegments --deep-iteration --files "$files" > "$WORK/dump" 2>&1 || { tail -3 "$WORK/dump"; return 1; }
  ! grep -iE -m3 'mismatch|non-consecutive|not found|out of order|isvalid: false|invalid bytes|exception' "$WORK/dump"
}
