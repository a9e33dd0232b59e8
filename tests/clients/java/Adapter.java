// An adapter of Kafka's Java clients for the suite beside it: one JSON object a line on stdin is an operation, answers and
// events go to stdout. ../README.md lists the operations.
//
// A consumer belongs to one thread: the main one polls it and takes operations from a queue in between.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Adapter {
    static final ObjectMapper JSON = new ObjectMapper();
    static final String BROKER = System.getenv("BROKER");
    static final LinkedBlockingQueue<String> OPERATIONS = new LinkedBlockingQueue<>();
    static final String END = "";
    /** The consumer of this process that is in a group, if there is one. */
    static KafkaConsumer<String, String> member;

    static synchronized void say(ObjectNode what) {
        System.out.println(what);
        System.out.flush();
    }

    /** Kafka's code, -2 for a commit that came too late, -1000 for what has no code. */
    static ObjectNode failure(Throwable thrown) {
        Throwable error = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
        int code = Errors.forException(error).code();
        if (error instanceof CommitFailedException) code = -2;
        else if (code == -1) code = -1000;
        return object().put("error", code).put("text", error.toString());
    }

    static ObjectNode object() {
        return JSON.createObjectNode();
    }

    static Map<String, Object> settings() {
        Map<String, Object> all = new HashMap<>();
        all.put("bootstrap.servers", BROKER);
        return all;
    }

    static ObjectNode produce(JsonNode r) throws Exception {
        Map<String, Object> settings = settings();
        settings.put("acks", r.get("acks").asText());
        settings.put("compression.type", r.get("codec").asText());
        settings.put("enable.idempotence", r.get("idempotent").asBoolean());
        settings.put("linger.ms", 5);
        ArrayNode offsets = JSON.createArrayNode();
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode from : r.get("records")) {
                Integer partition = from.hasNonNull("p") ? from.get("p").asInt() : null;
                Long time = from.hasNonNull("ts") ? from.get("ts").asLong() : null;
                var to = new ProducerRecord<>(r.get("topic").asText(), partition, time, text(from.get("k")), text(from.get("v")));
                for (JsonNode h : from.path("h")) to.headers().add(h.get(0).asText(), h.get(1).asText().getBytes());
                sent.add(producer.send(to));
            }
            for (Future<RecordMetadata> one : sent) {
                RecordMetadata placed = one.get(60, TimeUnit.SECONDS);
                offsets.addArray().add(placed.partition()).add(placed.offset());
            }
        }
        ObjectNode answer = object();
        answer.set("offsets", offsets);
        return answer;
    }

    static String text(JsonNode node) {
        return node == null || node.isNull() ? null : node.asText();
    }

    static ObjectNode told(ConsumerRecord<String, String> record) {
        ObjectNode said = object().put("t", record.topic()).put("p", record.partition()).put("o", record.offset());
        said.put("k", record.key()).put("v", record.value()).put("ts", record.timestamp());
        ArrayNode headers = said.putArray("h");
        for (Header h : record.headers()) headers.addArray().add(h.key()).add(new String(h.value()));
        return said;
    }

    static KafkaConsumer<String, String> consumer(Map<String, Object> more) {
        Map<String, Object> settings = settings();
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false);
        settings.put("fetch.max.wait.ms", 100);
        settings.put("allow.auto.create.topics", false);
        settings.put("group.protocol", "classic");
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static ObjectNode read(JsonNode r) {
        try (var consumer = consumer(Map.of())) {
            var place = place(r);
            consumer.assign(List.of(place));
            if (r.has("offset")) {
                consumer.seek(place, r.get("offset").asLong());
            } else if (r.has("end")) {
                consumer.seekToEnd(List.of(place));
                consumer.seek(place, consumer.position(place) - r.get("end").asLong());
            } else if (r.has("timestamp")) {
                consumer.seek(place, consumer.offsetsForTimes(Map.of(place, r.get("timestamp").asLong())).get(place).offset());
            } else {
                consumer.seekToBeginning(List.of(place));
            }
            ObjectNode answer = object();
            ArrayNode records = answer.putArray("records");
            long end = System.currentTimeMillis() + r.get("timeout_ms").asLong();
            while (records.size() < r.get("count").asInt() && System.currentTimeMillis() < end)
                for (var record : consumer.poll(Duration.ofMillis(100))) if (records.size() < r.get("count").asInt()) records.add(told(record));
            return answer;
        }
    }

    static TopicPartition place(JsonNode r) {
        return new TopicPartition(r.get("topic").asText(), r.get("partition").asInt());
    }

    static void tell(String event, Collection<TopicPartition> places) {
        ObjectNode said = object().put("event", event);
        ArrayNode list = said.putArray("partitions");
        for (var p : places) list.addArray().add(p.topic()).add(p.partition());
        say(said);
    }

    static final ConsumerRebalanceListener LISTENER = new ConsumerRebalanceListener() {
        @Override public void onPartitionsAssigned(Collection<TopicPartition> places) { tell("assigned", places); }
        @Override public void onPartitionsRevoked(Collection<TopicPartition> places) { tell("revoked", places); }
        @Override public void onPartitionsLost(Collection<TopicPartition> places) { tell("lost", places); }
    };

    static ObjectNode join(JsonNode r) {
        int session = r.get("session_ms").asInt();
        Map<String, Object> settings = new HashMap<>();
        settings.put("group.id", r.get("group").asText());
        settings.put("session.timeout.ms", session);
        settings.put("heartbeat.interval.ms", Math.min(500, session / 3));
        settings.put("max.poll.interval.ms", Math.max(300_000, session));
        settings.put("auto.offset.reset", r.get("reset").asText());
        settings.put("enable.auto.commit", r.get("auto_commit").asBoolean());
        boolean cooperative = r.get("assignor").asText().equals("cooperative-sticky");
        settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + (cooperative ? "CooperativeStickyAssignor" : "RangeAssignor"));
        if (r.hasNonNull("instance")) settings.put("group.instance.id", r.get("instance").asText());
        member = consumer(settings);
        List<String> topics = new ArrayList<>();
        r.get("topics").forEach(t -> topics.add(t.asText()));
        member.subscribe(topics, LISTENER);
        return object();
    }

    static void poll() {
        try {
            for (var record : member.poll(Duration.ofMillis(100))) say(told(record).put("event", "record"));
        } catch (KafkaException error) {
            say(failure(error).put("event", "error"));
            if (!(error instanceof org.apache.kafka.common.errors.RetriableException)) {
                member.close(org.apache.kafka.clients.consumer.CloseOptions.timeout(Duration.ofSeconds(1)));
                member = null;
            }
        }
    }

    static ObjectNode commit(JsonNode r) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        if (r.has("offsets")) {
            for (JsonNode o : r.get("offsets")) offsets.put(new TopicPartition(o.get(0).asText(), o.get(1).asInt()), new OffsetAndMetadata(o.get(2).asLong()));
        } else {
            for (var place : member.assignment()) offsets.put(place, new OffsetAndMetadata(member.position(place)));
        }
        if (r.get("mode").asText().equals("sync")) {
            member.commitSync(offsets);
            return object();
        }
        AtomicReference<Object> done = new AtomicReference<>();
        member.commitAsync(offsets, (o, error) -> done.set(error == null ? "done" : error));
        for (long end = System.currentTimeMillis() + 30_000; done.get() == null && System.currentTimeMillis() < end;) poll();
        if (!(done.get() instanceof String)) throw done.get() == null ? new KafkaException("the callback was not called") : (Exception) done.get();
        return object();
    }

    static ObjectNode describeGroup(Admin admin, String group) throws Exception {
        var found = admin.describeConsumerGroups(List.of(group)).describedGroups().get(group).get();
        ObjectNode answer = object().put("state", found.groupState().toString());
        ArrayNode members = answer.putArray("members");
        for (var m : found.members()) {
            ArrayNode list = members.addObject().put("id", m.consumerId()).putArray("partitions");
            for (var p : m.assignment().topicPartitions()) list.addArray().add(p.topic()).add(p.partition());
        }
        return answer;
    }

    static ObjectNode administer(JsonNode r) throws Exception {
        String topic = text(r.get("topic")), group = text(r.get("group"));
        try (var admin = Admin.create(settings())) {
            switch (r.get("op").asText()) {
                case "create_topic":
                    Map<String, String> configs = new HashMap<>();
                    r.get("configs").properties().forEach(c -> configs.put(c.getKey(), c.getValue().asText()));
                    admin.createTopics(List.of(new NewTopic(topic, r.get("partitions").asInt(), (short) 1).configs(configs))).all().get();
                    return object();
                case "delete_topic":
                    admin.deleteTopics(List.of(topic)).all().get();
                    return object();
                case "topics":
                    return names("topics", admin.listTopics().names().get());
                case "describe_topic":
                    return object().put("partitions", admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size());
                case "topic_config":
                    var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
                    return object().put("value", admin.describeConfigs(List.of(resource)).all().get().get(resource).get(r.get("key").asText()).value());
                case "offsets":
                    JsonNode at = r.get("at");
                    OffsetSpec spec = at.isNumber() ? OffsetSpec.forTimestamp(at.asLong()) : at.asText().equals("begin") ? OffsetSpec.earliest() : OffsetSpec.latest();
                    return object().put("offset", admin.listOffsets(Map.of(place(r), spec)).all().get().get(place(r)).offset());
                case "groups":
                    List<String> groups = new ArrayList<>();
                    admin.listGroups().all().get().forEach(g -> groups.add(g.groupId()));
                    return names("groups", groups);
                case "describe_group":
                    return describeGroup(admin, group);
                case "delete_group":
                    admin.deleteConsumerGroups(List.of(group)).all().get();
                    return object();
                case "committed":
                    var found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(place(r));
                    return object().put("offset", found == null ? -1 : found.offset());
                case "set_offset":
                    admin.alterConsumerGroupOffsets(group, Map.of(place(r), new OffsetAndMetadata(r.get("offset").asLong()))).all().get();
                    return object();
                default:
                    throw new KafkaException("no operation " + r.get("op"));
            }
        }
    }

    static ObjectNode names(String key, Collection<String> names) {
        ObjectNode answer = object();
        names.forEach(answer.putArray(key)::add);
        return answer;
    }

    static ObjectNode run(JsonNode r) throws Exception {
        switch (r.get("op").asText()) {
            case "produce": return produce(r);
            case "read": return read(r);
            case "join": return join(r);
            case "commit": return commit(r);
            case "seek":
                member.seek(place(r), r.get("offset").asLong());
                return object();
            case "identity": return object().put("member", member.groupMetadata().memberId()).put("generation", member.groupMetadata().generationId());
            case "leave":
                member.close();
                member = null;
                return object();
            default: return administer(r);
        }
    }

    static void listen() {
        try (var in = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line; (line = in.readLine()) != null;) OPERATIONS.add(line);
        } catch (java.io.IOException error) {
            System.err.println(error);
        }
        OPERATIONS.add(END);
    }

    public static void main(String[] arguments) throws Exception {
        Thread listener = new Thread(Adapter::listen);
        listener.setDaemon(true);
        listener.start();
        while (true) {
            String line = member == null ? OPERATIONS.take() : OPERATIONS.poll();
            if (line == null) {
                poll();
                continue;
            }
            if (line == END) return;
            JsonNode r = JSON.readTree(line);
            ObjectNode answer;
            try {
                answer = run(r);
            } catch (KafkaException | ExecutionException | java.util.concurrent.TimeoutException error) {
                answer = failure(error);
            }
            say(answer.put("id", r.get("id").asLong()));
        }
    }
}
