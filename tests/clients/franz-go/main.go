// An adapter of franz-go for the suite beside it: one JSON object a line on stdin is an operation, answers and events
// go to stdout. ../README.md lists the operations.
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

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type record struct {
	P  *int32      `json:"p"`
	O  int64       `json:"o"`
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
	Partitions int32             `json:"partitions"`
	Configs    map[string]string `json:"configs"`
	Key        string            `json:"key"`
	Records    []record          `json:"records"`
	Acks       string            `json:"acks"`
	Codec      string            `json:"codec"`
	Idempotent bool              `json:"idempotent"`
	Count      int               `json:"count"`
	TimeoutMs  int64             `json:"timeout_ms"`
	Offset     *int64            `json:"offset"`
	Timestamp  *int64            `json:"timestamp"`
	Begin      bool              `json:"begin"`
	End        *int64            `json:"end"`
	At         any               `json:"at"`
	Group      string            `json:"group"`
	Instance   *string           `json:"instance"`
	SessionMs  int64             `json:"session_ms"`
	Assignor   string            `json:"assignor"`
	Reset      string            `json:"reset"`
	AutoCommit bool              `json:"auto_commit"`
	Mode       string            `json:"mode"`
	Offsets    [][3]any          `json:"offsets"`
}

type answer map[string]any

var (
	broker = os.Getenv("BROKER")
	out    sync.Mutex
	member *kgo.Client
	ctx    = context.Background()
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

// failure is an error with Kafka's code, or -1000 if it has none.
func failure(err error) answer {
	code := -1000
	var known *kerr.Error
	if errors.As(err, &known) {
		code = int(known.Code)
	}
	return answer{"error": code, "text": err.Error()}
}

func connect(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(broker))...)
}

func produce(r *request) (answer, error) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}
	options := []kgo.Opt{kgo.ProducerBatchCompression(codecs[r.Codec]), kgo.RequiredAcks(acks[r.Acks]), kgo.DefaultProduceTopic(r.Topic)}
	if !r.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if len(r.Records) > 0 && r.Records[0].P != nil {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	client, err := connect(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := make([]*kgo.Record, len(r.Records))
	for i, from := range r.Records {
		to := &kgo.Record{}
		if from.P != nil {
			to.Partition = *from.P
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
			to.Headers = append(to.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
		records[i] = to
	}
	results := client.ProduceSync(ctx, records...)
	if err := results.FirstErr(); err != nil {
		return nil, err
	}
	// Results come in the order of their ends; the records know their places.
	offsets := make([][2]int64, len(records))
	for i, to := range records {
		offsets[i] = [2]int64{int64(to.Partition), to.Offset}
	}
	return answer{"offsets": offsets}, nil
}

func told(r *kgo.Record) answer {
	text := func(b []byte) any {
		if b == nil {
			return nil
		}
		return string(b)
	}
	headers := [][2]string{}
	for _, h := range r.Headers {
		headers = append(headers, [2]string{h.Key, string(h.Value)})
	}
	return answer{"t": r.Topic, "p": r.Partition, "o": r.Offset, "k": text(r.Key), "v": text(r.Value), "ts": r.Timestamp.UnixMilli(), "h": headers}
}

func read(r *request) (answer, error) {
	from := kgo.NewOffset().AtStart()
	switch {
	case r.Offset != nil:
		from = kgo.NewOffset().At(*r.Offset)
	case r.End != nil:
		from = kgo.NewOffset().AtEnd().Relative(-*r.End)
	case r.Timestamp != nil:
		from = kgo.NewOffset().AfterMilli(*r.Timestamp)
	}
	client, err := connect(kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: {r.Partition: from}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	limit, cancel := context.WithTimeout(ctx, time.Duration(r.TimeoutMs)*time.Millisecond)
	defer cancel()
	records := []answer{}
	for len(records) < r.Count && limit.Err() == nil {
		fetches := client.PollRecords(limit, r.Count-len(records))
		if err := fetches.Err(); err != nil && limit.Err() == nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) { records = append(records, told(record)) })
	}
	return answer{"records": records}, nil
}

// complaints hears what the client does not tell by polling: a group that refuses it.
type complaints struct{}

func (complaints) OnGroupManageError(err error) {
	said := failure(err)
	said["event"] = "error"
	say(said)
}

func join(r *request) (answer, error) {
	tell := func(event string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			list := [][2]any{}
			for topic, partitions := range parts {
				for _, p := range partitions {
					list = append(list, [2]any{topic, p})
				}
			}
			say(answer{"event": event, "partitions": list})
		}
	}
	reset := kgo.NewOffset().AtStart()
	if r.Reset == "latest" {
		reset = kgo.NewOffset().AtEnd()
	}
	balancer := kgo.RangeBalancer()
	if r.Assignor == "cooperative-sticky" {
		balancer = kgo.CooperativeStickyBalancer()
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(r.Group), kgo.ConsumeTopics(r.Topics...), kgo.Balancers(balancer), kgo.ConsumeResetOffset(reset),
		kgo.SessionTimeout(time.Duration(r.SessionMs) * time.Millisecond), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.RebalanceTimeout(30 * time.Second), kgo.OnPartitionsAssigned(tell("assigned")), kgo.OnPartitionsLost(tell("lost")), kgo.WithHooks(complaints{}),
	}
	if r.SessionMs < 1000 {
		options = append(options, kgo.HeartbeatInterval(time.Duration(r.SessionMs)*time.Millisecond/3))
	}
	if !r.AutoCommit {
		// The client's own callback for revocation commits: it is replaced only here.
		options = append(options, kgo.DisableAutoCommit(), kgo.OnPartitionsRevoked(tell("revoked")))
	} else {
		revoked := tell("revoked")
		options = append(options, kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, parts map[string][]int32) {
			c.CommitUncommittedOffsets(ctx)
			revoked(ctx, c, parts)
		}))
	}
	if r.Instance != nil {
		options = append(options, kgo.InstanceID(*r.Instance))
	}
	client, err := connect(options...)
	if err != nil {
		return nil, err
	}
	member = client
	go func() {
		for {
			fetches := client.PollFetches(ctx)
			if fetches.IsClientClosed() {
				return
			}
			fetches.EachError(func(_ string, _ int32, err error) { complaints{}.OnGroupManageError(err) })
			fetches.EachRecord(func(record *kgo.Record) {
				said := told(record)
				said["event"] = "record"
				say(said)
			})
		}
	}()
	return answer{}, nil
}

func commit(r *request) (answer, error) {
	offsets := member.UncommittedOffsets()
	if r.Offsets != nil {
		offsets = map[string]map[int32]kgo.EpochOffset{}
		for _, o := range r.Offsets {
			topic := o[0].(string)
			if offsets[topic] == nil {
				offsets[topic] = map[int32]kgo.EpochOffset{}
			}
			offsets[topic][int32(o[1].(float64))] = kgo.EpochOffset{Epoch: -1, Offset: int64(o[2].(float64))}
		}
	}
	done := make(chan error, 1)
	hear := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if response != nil && err == nil {
			for _, topic := range response.Topics {
				for _, p := range topic.Partitions {
					err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		}
		done <- err
	}
	if r.Mode == "async" {
		go member.CommitOffsets(ctx, offsets, hear)
	} else {
		member.CommitOffsetsSync(ctx, offsets, hear)
	}
	return answer{}, <-done
}

func offsetAt(r *request, admin *kadm.Client) (answer, error) {
	var listed kadm.ListedOffsets
	var err error
	switch at := r.At.(type) {
	case string:
		if at == "begin" {
			listed, err = admin.ListStartOffsets(ctx, r.Topic)
		} else {
			listed, err = admin.ListEndOffsets(ctx, r.Topic)
		}
	case float64:
		listed, err = admin.ListOffsetsAfterMilli(ctx, int64(at), r.Topic)
	}
	if err != nil {
		return nil, err
	}
	found, _ := listed.Lookup(r.Topic, r.Partition)
	return answer{"offset": found.Offset}, found.Err
}

func describeGroup(r *request, admin *kadm.Client) (answer, error) {
	groups, err := admin.DescribeGroups(ctx, r.Group)
	if err != nil {
		return nil, err
	}
	group := groups[r.Group]
	members := []answer{}
	for _, m := range group.Members {
		parts := [][2]any{}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				for _, p := range t.Partitions {
					parts = append(parts, [2]any{t.Topic, p})
				}
			}
		}
		members = append(members, answer{"id": m.MemberID, "partitions": parts})
	}
	return answer{"state": group.State, "members": members}, group.Err
}

func administer(r *request) (answer, error) {
	client, err := connect()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	switch r.Op {
	case "create_topic":
		configs := map[string]*string{}
		for key, value := range r.Configs {
			configs[key] = &value
		}
		created, err := admin.CreateTopic(ctx, r.Partitions, 1, configs, r.Topic)
		return answer{}, errors.Join(err, created.Err)
	case "delete_topic":
		deleted, err := admin.DeleteTopic(ctx, r.Topic)
		return answer{}, errors.Join(err, deleted.Err)
	case "topics":
		listed, err := admin.ListTopics(ctx)
		return answer{"topics": listed.Names()}, err
	case "describe_topic":
		listed, err := admin.ListTopics(ctx, r.Topic)
		return answer{"partitions": len(listed[r.Topic].Partitions)}, errors.Join(err, listed[r.Topic].Err)
	case "topic_config":
		configs, err := admin.DescribeTopicConfigs(ctx, r.Topic)
		if err != nil {
			return nil, err
		}
		for _, c := range configs[0].Configs {
			if c.Key == r.Key {
				return answer{"value": c.MaybeValue()}, nil
			}
		}
		return nil, fmt.Errorf("no config %s", r.Key)
	case "offsets":
		return offsetAt(r, admin)
	case "groups":
		listed, err := admin.ListGroups(ctx)
		return answer{"groups": listed.Groups()}, err
	case "describe_group":
		return describeGroup(r, admin)
	case "delete_group":
		deleted, err := admin.DeleteGroup(ctx, r.Group)
		return answer{}, errors.Join(err, deleted.Err)
	case "committed":
		offsets, err := admin.FetchOffsets(ctx, r.Group)
		found, ok := offsets.Lookup(r.Topic, r.Partition)
		if !ok {
			found.At = -1
		}
		return answer{"offset": found.At}, err
	case "set_offset":
		offsets := kadm.Offsets{}
		offsets.AddOffset(r.Topic, r.Partition, *r.Offset, -1)
		return answer{}, admin.CommitAllOffsets(ctx, r.Group, offsets)
	}
	return nil, fmt.Errorf("no operation %s", r.Op)
}

func run(r *request) (answer, error) {
	switch r.Op {
	case "produce":
		return produce(r)
	case "read":
		return read(r)
	case "join":
		return join(r)
	case "commit":
		return commit(r)
	case "seek":
		member.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.Topic: {r.Partition: {Epoch: -1, Offset: *r.Offset}}})
		return answer{}, nil
	case "identity":
		id, generation := member.GroupMetadata()
		return answer{"member": id, "generation": generation}, nil
	case "leave":
		member.CloseAllowingRebalance()
		return answer{}, nil
	}
	return administer(r)
}

func main() {
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
