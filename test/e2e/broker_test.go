package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"onefire/function"
	"onefire/test/client"
)

// acceptedWithin is how long an event may be tried.
const acceptedWithin = 10 * time.Minute

// broker delivers as a Knative Broker does: the same event again, after a pause
// that grows, until it is accepted.
type broker struct {
	// route picks the process of the next try.
	route func() string
	// pause is the first pause, and longest the longest.
	pause, longest time.Duration
	// within is when an event is given up, from its first try on.
	within time.Duration

	accepted, redelivered atomic.Int64
	// slowest is the delivery that took longest.
	slowest slowest
}

// slowest is the longest of the deliveries, with the answer to each of its tries.
type slowest struct {
	mu    sync.Mutex
	took  time.Duration
	tries []string
}

func (s *slowest) note(took time.Duration, tries []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if took > s.took {
		s.took, s.tries = took, tries
	}
}

// String has a line for each try.
func (s *slowest) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("the slowest delivery took %s and %d tries:\n%s", s.took.Round(time.Second), len(s.tries), strings.Join(s.tries, "\n"))
}

// deliver delivers a message and returns what its summary says of each alert.
// A batch has none.
func (b *broker) deliver(ctx context.Context, m client.Message) ([]function.AlertSummary, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = b.pause, b.longest
	var tries []string
	begun := time.Now()
	try := func() (string, error) {
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
	}
	answer, err := backoff.Retry(ctx, func() (string, error) {
		if len(tries) > 0 {
			b.redelivered.Add(1)
		}
		from := time.Since(begun)
		answer, err := try()
		tries = append(tries, fmt.Sprintf("%6.1f s to %6.1f s: %v", from.Seconds(), time.Since(begun).Seconds(), err))
		return answer, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(b.within))
	b.slowest.note(time.Since(begun), tries)
	if err != nil {
		return nil, fmt.Errorf("delivering, %d tries: %w", len(tries), err)
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
