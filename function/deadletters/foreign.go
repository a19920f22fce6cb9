package deadletters

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// errForeign means that a ConfigMap is not one that this store made: anybody can
// put a label on one. It is never replayed, and never deleted.
var errForeign = errors.New("foreign, no dead letter")

// labelled tells by its labels whether a ConfigMap can be one of this store.
func labelled(m *metav1.ObjectMeta) error {
	switch {
	case m.Labels[deadLetterLabel] != "true":
		return fmt.Errorf("%w: it has no label %s=true", errForeign, deadLetterLabel)
	case m.Labels[managedByLabel] != managedBy:
		return fmt.Errorf("%w: it has no label %s=%s", errForeign, managedByLabel, managedBy)
	}
	return nil
}

// read gives the event of a dead letter, or [errForeign]: its name must be the
// one that follows from the event.
func read(c *configMap) (event.Event, error) {
	if err := labelled(&c.ObjectMeta); err != nil {
		return event.Event{}, err
	}
	text, err := unpack(c)
	if err != nil {
		return event.Event{}, fmt.Errorf("%w: %w", errForeign, err)
	}
	e, err := decode(text)
	if err != nil {
		return event.Event{}, fmt.Errorf("%w: %w", errForeign, err)
	}
	if own := name(e); own != c.Name {
		return event.Event{}, fmt.Errorf("%w: its event's is %s", errForeign, own)
	}
	return e, nil
}

// check tells whether the ConfigMap of a name is a dead letter of this store.
func (a *api) check(ctx context.Context, name string) error {
	c, err := a.get(ctx, name)
	if err != nil {
		return err
	}
	_, err = read(c)
	return err
}
