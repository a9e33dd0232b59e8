// An adapter of librdkafka, by its Go binding, for the suite beside it: one JSON object a line on stdin is an operation,
// answers and events go to stdout. ../README.md lists the operations.
//
// `run` builds this source twice: as it is, against the library that the v2 module carries, and with the import path and
// the tag `old` of version 1, which carries a librdkafka 1.x. What only the new binding has is in groups_new.go.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type record struct {
	P  *int32      `json:"p"`
	K  *string     `json:"k"`
	V  *string     `json:"v"`
	Ts int64       `json:"ts"`
	H  [][2]string `json:"h"`
}

type request struct {
	ID         int64             `json:"id"`
	Op         string            `json:"op"`
	Topic      string            `json:"topic"`
	Topics     []string          `json:"topics"`
	Partition  int32             `json:"partition"`
	Partitions int               `json:"partitions"`
	Configs    map[string]string `json:"configs"`
	Key        string            `json:"key"`
	Records    []record          `json:"records"`
	Acks       string            `json:"acks"`
	Codec      string            `json:"codec"`
	Idempotent bool              `json:"idempotent"`
	Count      int               `json:"count"`
	TimeoutMs  int               `json:"timeout_ms"`
	Offset     *int64            `json:"offset"`
	Timestamp  *int64            `json:"timestamp"`
	End        *int64            `json:"end"`
	At         any               `json:"at"`
	Group      string            `json:"group"`
	Instance   *string           `json:"instance"`
	SessionMs  int               `json:"session_ms"`
	Assignor   string            `json:"assignor"`
	Reset      string            `json:"reset"`
	AutoCommit bool              `json:"auto_commit"`
	Mode       string            `json:"mode"`
	Offsets    [][3]any          `json:"offsets"`
}

type answer map[string]any

const patience = 30_000

var (
	out      sync.Mutex
	consumer *kafka.Consumer
	stop     = make(chan bool)
	ctx      = context.Background()
)

func say(what answer) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// failure is an error with Kafka's code (negative: librdkafka's own), or -1000 if it has none.
func failure(err error) answer {
	code := -1000
	var known kafka.Error
	if errors.As(err, &known) {
		code = int(known.Code())
	}
	return answer{"error": code, "text": err.Error()}
}

func config(more kafka.ConfigMap) *kafka.ConfigMap {
	all := kafka.ConfigMap{"bootstrap.servers": os.Getenv("BROKER")}
	for key, value := range more {
		all[key] = value
	}
	return &all
}

func produce(r *request) (answer, error) {
	producer, err := kafka.NewProducer(config(kafka.ConfigMap{
		"acks": r.Acks, "compression.type": r.Codec, "enable.idempotence": r.Idempotent, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000,
	}))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	reports := make(chan kafka.Event, len(r.Records))
	for i, from := range r.Records {
		to := kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: kafka.PartitionAny}, Opaque: i}
		if from.P != nil {
			to.TopicPartition.Partition = *from.P
		}
		if from.K != nil {
			to.Key = []byte(*from.K)
		}
		if from.V != nil {
			to.Value = []byte(*from.V)
		}
		if from.Ts != 0 {
			to.Timestamp = time.UnixMilli(from.Ts)
		}
		for _, h := range from.H {
			to.Headers = append(to.Headers, kafka.Header{Key: h[0], Value: []byte(h[1])})
		}
		if err := producer.Produce(&to, reports); err != nil {
			return nil, err
		}
	}
	offsets := make([][2]int64, len(r.Records))
	for range r.Records {
		report := (<-reports).(*kafka.Message)
		if report.TopicPartition.Error != nil {
			return nil, report.TopicPartition.Error
		}
		offsets[report.Opaque.(int)] = [2]int64{int64(report.TopicPartition.Partition), int64(report.TopicPartition.Offset)}
	}
	return answer{"offsets": offsets}, nil
}

func told(m *kafka.Message) answer {
	text := func(b []byte) any {
		if b == nil {
			return nil
		}
		return string(b)
	}
	headers := [][2]string{}
	for _, h := range m.Headers {
		headers = append(headers, [2]string{h.Key, string(h.Value)})
	}
	at := m.TopicPartition
	return answer{"t": *at.Topic, "p": at.Partition, "o": int64(at.Offset), "k": text(m.Key), "v": text(m.Value), "ts": m.Timestamp.UnixMilli(), "h": headers}
}

// reader is a consumer outside of any group's life; its group id is only the name that commits go to.
func reader(group string) (*kafka.Consumer, error) {
	return kafka.NewConsumer(config(kafka.ConfigMap{
		"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": false, "fetch.wait.max.ms": 100, "allow.auto.create.topics": false,
	}))
}

func read(r *request) (answer, error) {
	c, err := reader("-")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	from := kafka.TopicPartition{Topic: &r.Topic, Partition: r.Partition, Offset: kafka.OffsetBeginning}
	switch {
	case r.Offset != nil:
		from.Offset = kafka.Offset(*r.Offset)
	case r.End != nil:
		from.Offset = kafka.OffsetTail(kafka.Offset(*r.End))
	case r.Timestamp != nil:
		if from, err = offsetFor(c, r, *r.Timestamp); err != nil {
			return nil, err
		}
	}
	if err := c.Assign([]kafka.TopicPartition{from}); err != nil {
		return nil, err
	}
	records := []answer{}
	for end := time.Now().Add(time.Duration(r.TimeoutMs) * time.Millisecond); len(records) < r.Count && time.Now().Before(end); {
		switch event := c.Poll(100).(type) {
		case *kafka.Message:
			if event.TopicPartition.Error != nil {
				return nil, event.TopicPartition.Error
			}
			records = append(records, told(event))
		case kafka.Error:
			if event.IsFatal() {
				return nil, event
			}
		}
	}
	return answer{"records": records}, nil
}

func offsetFor(c *kafka.Consumer, r *request, ms int64) (kafka.TopicPartition, error) {
	found, err := c.OffsetsForTimes([]kafka.TopicPartition{{Topic: &r.Topic, Partition: r.Partition, Offset: kafka.Offset(ms)}}, patience)
	if err != nil {
		return kafka.TopicPartition{}, err
	}
	return found[0], found[0].Error
}

func offsetAt(r *request) (answer, error) {
	c, err := reader("-")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if ms, is := r.At.(float64); is {
		found, err := offsetFor(c, r, int64(ms))
		return answer{"offset": int64(found.Offset)}, err
	}
	low, high, err := c.QueryWatermarkOffsets(r.Topic, r.Partition, patience)
	if r.At == "begin" {
		return answer{"offset": low}, err
	}
	return answer{"offset": high}, err
}

func named(event string, partitions []kafka.TopicPartition) {
	list := [][2]any{}
	for _, p := range partitions {
		list = append(list, [2]any{*p.Topic, p.Partition})
	}
	say(answer{"event": event, "partitions": list})
}

func join(r *request) (answer, error) {
	settings := kafka.ConfigMap{
		"group.id": r.Group, "auto.offset.reset": r.Reset, "enable.auto.commit": r.AutoCommit, "session.timeout.ms": r.SessionMs,
		"max.poll.interval.ms": max(300_000, r.SessionMs), "heartbeat.interval.ms": min(500, r.SessionMs/3), "fetch.wait.max.ms": 100,
		"partition.assignment.strategy": "range",
	}
	if r.Assignor != "eager" {
		settings["partition.assignment.strategy"] = r.Assignor
	}
	if r.Instance != nil {
		settings["group.instance.id"] = *r.Instance
	}
	c, err := kafka.NewConsumer(config(settings))
	if err != nil {
		return nil, err
	}
	consumer = c
	err = c.SubscribeTopics(r.Topics, func(c *kafka.Consumer, event kafka.Event) error {
		switch event := event.(type) {
		case kafka.AssignedPartitions:
			named("assigned", event.Partitions)
		case kafka.RevokedPartitions:
			if c.AssignmentLost() {
				named("lost", event.Partitions)
			} else {
				named("revoked", event.Partitions)
			}
		}
		return nil
	})
	go func() {
		for {
			select {
			case <-stop:
				stop <- true
				return
			default:
				hear(c.Poll(100))
			}
		}
	}()
	return answer{}, err
}

func hear(event kafka.Event) {
	switch event := event.(type) {
	case *kafka.Message:
		if event.TopicPartition.Error == nil {
			said := told(event)
			said["event"] = "record"
			say(said)
		}
	case kafka.Error:
		said := failure(event)
		said["event"] = "error"
		say(said)
	}
}

func commit(r *request) (answer, error) {
	offsets := []kafka.TopicPartition{}
	for _, o := range r.Offsets {
		topic := o[0].(string)
		offsets = append(offsets, kafka.TopicPartition{Topic: &topic, Partition: int32(o[1].(float64)), Offset: kafka.Offset(o[2].(float64))})
	}
	done := make(chan error, 1)
	hand := func() {
		if len(offsets) == 0 {
			_, err := consumer.Commit()
			done <- err
			return
		}
		committed, err := consumer.CommitOffsets(offsets)
		for _, c := range committed {
			err = errors.Join(err, c.Error)
		}
		done <- err
	}
	if r.Mode == "async" {
		go hand()
	} else {
		hand()
	}
	return answer{}, <-done
}

func committed(r *request) (answer, error) {
	c, err := reader(r.Group)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	place := []kafka.TopicPartition{{Topic: &r.Topic, Partition: r.Partition}}
	if r.Op == "set_offset" {
		place[0].Offset = kafka.Offset(*r.Offset)
		_, err = c.CommitOffsets(place)
		return answer{}, err
	}
	found, err := c.Committed(place, patience)
	if err != nil {
		return nil, err
	}
	offset := int64(found[0].Offset)
	if found[0].Offset == kafka.OffsetInvalid {
		offset = -1
	}
	return answer{"offset": offset}, found[0].Error
}

// check is the error of the only result of an administrative call.
func check(results []kafka.TopicResult, err error) error {
	if err == nil && results[0].Error.Code() != kafka.ErrNoError {
		return results[0].Error
	}
	return err
}

func administer(r *request) (answer, error) {
	admin, err := kafka.NewAdminClient(config(nil))
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	switch r.Op {
	case "create_topic":
		return answer{}, check(admin.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: r.Topic, NumPartitions: r.Partitions, ReplicationFactor: 1, Config: r.Configs}}))
	case "delete_topic":
		return answer{}, check(admin.DeleteTopics(ctx, []string{r.Topic}))
	case "topics":
		metadata, err := admin.GetMetadata(nil, true, patience)
		if err != nil {
			return nil, err
		}
		names := []string{}
		for name := range metadata.Topics {
			names = append(names, name)
		}
		return answer{"topics": names}, nil
	case "topic_config":
		results, err := admin.DescribeConfigs(ctx, []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: r.Topic}})
		if err != nil {
			return nil, err
		}
		return answer{"value": results[0].Config[r.Key].Value}, nil
	}
	return administerGroups(r, admin)
}

func describeTopic(r *request) (answer, error) {
	c, err := reader("-")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	metadata, err := c.GetMetadata(&r.Topic, false, patience)
	if err != nil {
		return nil, err
	}
	topic := metadata.Topics[r.Topic]
	if topic.Error.Code() != kafka.ErrNoError {
		return nil, topic.Error
	}
	return answer{"partitions": len(topic.Partitions)}, nil
}

func run(r *request) (answer, error) {
	switch r.Op {
	case "produce":
		return produce(r)
	case "read":
		return read(r)
	case "offsets":
		return offsetAt(r)
	case "describe_topic":
		return describeTopic(r)
	case "committed", "set_offset":
		return committed(r)
	case "join":
		return join(r)
	case "commit":
		return commit(r)
	case "seek":
		return answer{}, consumer.Seek(kafka.TopicPartition{Topic: &r.Topic, Partition: r.Partition, Offset: kafka.Offset(*r.Offset)}, patience)
	case "leave":
		stop <- true
		<-stop
		return answer{}, consumer.Close()
	}
	return administer(r)
}

func main() {
	if len(os.Args) > 1 {
		_, version := kafka.LibraryVersion()
		fmt.Println(version)
		return
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			panic(err)
		}
		result, err := run(&r)
		if err != nil {
			result = failure(err)
		}
		result["id"] = r.ID
		say(result)
	}
}
