package deadletters

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// errForeign means that this store did not make a ConfigMap that has its label, which
// anybody can set. Such a ConfigMap is never replayed and never deleted.
var errForeign = errors.New("foreign, not a dead letter")

// errMissing means that there is no ConfigMap with the name of a dead letter.
var errMissing = errors.New("there is no such dead letter")

// labelled checks by the labels whether this store can have made a ConfigMap.
func labelled(m *metav1.ObjectMeta) error {
	switch {
	case m.Labels[deadLetterLabel] != "true":
		return fmt.Errorf("%w: it has no label %s=true", errForeign, deadLetterLabel)
	case m.Labels[managedByLabel] != managedBy:
		return fmt.Errorf("%w: it has no label %s=%s", errForeign, managedByLabel, managedBy)
	}
	return nil
}

// read returns the event of a dead letter. It returns [errForeign] if the name does not
// follow from the event.
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
		return event.Event{}, fmt.Errorf("%w: the name that follows from its event is %s", errForeign, own)
	}
	return e, nil
}

// letter gets the ConfigMap of a dead letter. It returns [errMissing] if there is none.
func (a *api) letter(ctx context.Context, name string) (*configMap, error) {
	c, err := a.get(ctx, name)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w in namespace %s", errMissing, a.namespace)
	}
	return c, err
}

// withMissing adds to an error, which may be nil, how many of the names are missing.
func withMissing(err error, missing, names int) error {
	switch {
	case missing == 0:
		return err
	case err == nil:
		return fmt.Errorf("%d of %d dead letters do not exist", missing, names)
	}
	return fmt.Errorf("%w; %d of %d dead letters do not exist", err, missing, names)
}

// check returns nil if the ConfigMap with that name is a dead letter of this store, and
// [errMissing] if there is none.
func (a *api) check(ctx context.Context, name string) error {
	c, err := a.letter(ctx, name)
	if err != nil {
		return err
	}
	_, err = read(c)
	return err
}
