package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"onefire/function"
	"onefire/test/client"
)

// broker delivers as a Knative Broker does: the same event again, after a pause
// that grows, until it is accepted.
type broker struct {
	// route picks the process of the next try.
	route func() string
	// pause is the first pause, and longest the longest.
	pause, longest time.Duration

	accepted, redelivered atomic.Int64
}

// deliver delivers a message and returns what its summary says of each alert.
// A batch has none.
func (b *broker) deliver(ctx context.Context, m client.Message) ([]function.AlertSummary, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = b.pause, b.longest
	tries := 0
	answer, err := backoff.Retry(ctx, func() (string, error) {
		if tries++; tries > 1 {
			b.redelivered.Add(1)
		}
		// Longer than the function takes in any case, so that no try is given
		// up while it is under way.
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		status, answer, err := m.Post(ctx, brokerClient, b.route())
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK:
			return answer, nil
		case status/100 == 4:
			return "", backoff.Permanent(fmt.Errorf("answered %d %s", status, answer))
		}
		return "", fmt.Errorf("answered %d %s", status, answer)
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(10*time.Minute))
	if err != nil {
		return nil, fmt.Errorf("delivering, %d tries: %w", tries, err)
	}
	b.accepted.Add(1)
	if answer == "" {
		return nil, nil
	}
	var s function.Summary
	if err := json.Unmarshal([]byte(answer), &s); err != nil {
		return nil, fmt.Errorf("reading the summary: %w", err)
	}
	return s.Alerts, nil
}

// deliverOne delivers an event with one alert.
func (b *broker) deliverOne(ctx context.Context, id, body string) (function.AlertSummary, error) {
	alerts, err := b.deliver(ctx, client.Binary(id, []byte(body)))
	if err != nil {
		return function.AlertSummary{}, err
	}
	if len(alerts) != 1 {
		return function.AlertSummary{}, errors.New("the summary is not one of one alert")
	}
	return alerts[0], nil
}

var brokerClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
