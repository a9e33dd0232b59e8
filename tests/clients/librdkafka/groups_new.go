//go:build !old

package main

import (
	"fmt"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// administerGroups lists, describes and deletes groups.
func administerGroups(r *request, admin *kafka.AdminClient) (answer, error) {
	switch r.Op {
	case "groups":
		listed, err := admin.ListConsumerGroups(ctx)
		names := []string{}
		for _, group := range listed.Valid {
			names = append(names, group.GroupID)
		}
		return answer{"groups": names}, err
	case "describe_group":
		described, err := admin.DescribeConsumerGroups(ctx, []string{r.Group})
		if err != nil {
			return nil, err
		}
		group := described.ConsumerGroupDescriptions[0]
		members := []answer{}
		for _, m := range group.Members {
			parts := [][2]any{}
			for _, p := range m.Assignment.TopicPartitions {
				parts = append(parts, [2]any{*p.Topic, p.Partition})
			}
			members = append(members, answer{"id": m.ConsumerID, "partitions": parts})
		}
		if group.Error.Code() != kafka.ErrNoError {
			return nil, group.Error
		}
		return answer{"state": group.State.String(), "members": members}, nil
	case "delete_group":
		deleted, err := admin.DeleteConsumerGroups(ctx, []string{r.Group})
		if err == nil && deleted.ConsumerGroupResults[0].Error.Code() != kafka.ErrNoError {
			err = deleted.ConsumerGroupResults[0].Error
		}
		return answer{}, err
	}
	return nil, fmt.Errorf("no operation %s", r.Op)
}
