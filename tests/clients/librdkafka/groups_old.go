//go:build old

package main

import (
	"fmt"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// administerGroups: the old binding cannot.
func administerGroups(r *request, _ *kafka.AdminClient) (answer, error) {
	return nil, fmt.Errorf("no operation %s", r.Op)
}
