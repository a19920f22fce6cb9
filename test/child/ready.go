package child

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// pollEvery is how often a child is asked whether it is ready, which takes
// milliseconds.
const pollEvery = 20 * time.Millisecond

// Ready waits until a URL of a child answers 200. It gives up, with an error, as
// soon as the context ends or ended has one: that of the child's own end. An
// answer of somebody else who has the child's address is none, because the child
// ends then; ask for [Unused] before the child starts.
func Ready(ctx context.Context, url string, ended <-chan error) error {
	ctx, cancel := context.WithCancel(ctx)
	asked := make(chan error, 1)
	go func() { asked <- answers(ctx, url) }()
	select {
	case err := <-ended:
		cancel()
		<-asked //nolint:errcheck // It ends with its context, and says nothing new.
		return err
	case err := <-asked:
		cancel()
		select {
		case err := <-ended:
			return err
		default:
			return err
		}
	}
}

// answers asks until the answer is 200 or the context ends.
func answers(ctx context.Context, url string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	last := "no answer"
	for {
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = resp.Status
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not ready at %s (%s): %w", url, last, ctx.Err())
		case <-tick.C:
		}
	}
}
