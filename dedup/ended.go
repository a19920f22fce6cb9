package dedup

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// ErrTooLarge means that the answer to a List has more bytes than its limit.
var ErrTooLarge = errTooLarge

// Ended is a terminal RemediationRequest that Onefire made.
type Ended struct {
	Namespace, Name    string
	Fingerprint, Phase string
	// At is when the request ended, as far as its status tells.
	At time.Time

	uid             types.UID
	resourceVersion string
}

// EndedPage is one page of a List.
type EndedPage struct {
	// Old are the requests that may be deleted, in the order of the List.
	Old []Ended
	// Read is how many objects of ours the page had.
	Read int
	// Now is the API server's clock.
	Now time.Time
	// Next is the token for the next page; it is empty after the last one.
	Next string
}

// Past reads and deletes RemediationRequests that ended long ago.
//
// It is safe while handlers are running: the schedules that the tests explore include a
// program that deletes any ended object between any two calls of a handler (budget.Retain
// in schedule_test.go). Each delete names the revision that was read, so an object that
// has changed since stays.
type Past struct{ kube *kube }

// OpenPast makes a [Past] from a client configuration, which it copies. It opens no
// connection.
func OpenPast(config *rest.Config) (*Past, error) {
	k, err := connect(config)
	return &Past{k}, err
}

// Page reads at most size objects of a namespace, or of all namespaces if it is empty,
// and finds those that ended longer ago than ttl. It makes one call and does not retry.
func (p *Past) Page(ctx context.Context, namespace string, ttl time.Duration, size int, next string) (EndedPage, error) {
	items, now, next, err := p.kube.listRaw(ctx, p.kube.request(p.kube.client.Get(), namespace).MaxRetries(0).
		Param("labelSelector", managedByLabel+"="+managedBy).
		Param("limit", strconv.Itoa(size)).Param("continue", next))
	if err != nil {
		return EndedPage{}, err
	}
	page := EndedPage{Read: len(items), Now: now, Next: next}
	for _, text := range items {
		var w wireObject
		var e wireEnd
		if err := decode([]byte(text), &w); err != nil {
			return EndedPage{}, err
		}
		if err := decode([]byte(text), &e); err != nil {
			return EndedPage{}, err
		}
		if o := w.observe(); o.prunable(e.times(o), now, ttl) {
			page.Old = append(page.Old, Ended{
				Namespace: e.Metadata.Namespace, Name: o.name, Fingerprint: o.fingerprint, Phase: o.phase,
				At: e.times(o).ended, uid: o.uid, resourceVersion: o.resourceVersion,
			})
		}
	}
	return page, nil
}

// Delete deletes a request in the revision that was read, or fails with a conflict. It
// makes one call and does not retry.
func (p *Past) Delete(ctx context.Context, e Ended) error {
	text, err := json.Marshal(metav1.DeleteOptions{
		TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions: &metav1.Preconditions{UID: &e.uid, ResourceVersion: &e.resourceVersion},
	})
	if err != nil {
		return fmt.Errorf("encoding a delete request: %w", err)
	}
	_, err = p.kube.readAll(ctx, p.kube.request(p.kube.client.Delete(), e.Namespace).Name(e.Name).MaxRetries(0).Body(text))
	return err
}

// listRaw makes one call of a List. It returns the undecoded items, the API server's
// clock, and the token for the next page.
func (k *kube) listRaw(ctx context.Context, r *rest.Request) (items []rawText, now time.Time, next string, err error) {
	// Our own clock stands in if a proxy removes the Date header.
	now = time.Now()
	body, err := k.readAll(context.WithValue(ctx, dateKey{}, &now), r)
	if err != nil {
		return nil, now, "", err
	}
	var all struct {
		Kind     string          `json:"kind"`
		Metadata metav1.ListMeta `json:"metadata"`
		Items    []rawText       `json:"items"`
	}
	if err := decode(body, &all); err != nil {
		return nil, now, "", err
	}
	if !strings.HasSuffix(all.Kind, "List") {
		return nil, now, "", fmt.Errorf("the API server's answer to a List is a %q", all.Kind)
	}
	return all.Items, now, all.Metadata.Continue, nil
}

// readAll makes one call and reads the whole answer.
func (k *kube) readAll(ctx context.Context, r *rest.Request) (body []byte, err error) {
	err = k.doUnlimited(ctx, r, func(answer io.Reader) error {
		if body, err = io.ReadAll(&boundedReader{answer, maxEndedPage}); err != nil {
			return fmt.Errorf("reading the API server's answer: %w", err)
		}
		return nil
	})
	return body, err
}

// wireEnd is the part of an object that only the time of its end depends on.
type wireEnd struct {
	Metadata struct {
		Namespace string `json:"namespace"`
		// ManagedFields have the time of each writer's last write.
		ManagedFields []struct {
			Time string `json:"time"`
		} `json:"managedFields"`
	} `json:"metadata"`
	Status struct {
		// Kubernaut writes CompletedAt in each terminal phase, and TimeoutTime in
		// TimedOut as well.
		CompletedAt string `json:"completedAt"`
		TimeoutTime string `json:"timeoutTime"`
		// RetentionExpiryTime is until when kubernaut keeps the object.
		RetentionExpiryTime string `json:"retentionExpiryTime"`
		Deduplication       struct {
			LastResolvedAt string `json:"lastResolvedAt"`
		} `json:"deduplication"`
		Conditions []struct {
			LastTransitionTime string `json:"lastTransitionTime"`
		} `json:"conditions"`
	} `json:"status"`
}

// endTimes are the times that decide how long an ended object is kept.
type endTimes struct {
	ended time.Time
	// keptUntil is until when another controller keeps it.
	keptUntil time.Time
}

// times reads when an object ended. Some controllers write that time with the phase.
// Otherwise times takes the newest time in the object. The API server notes the time of
// each write, so the result is not too early even if a controller writes nothing but the
// phase.
func (e *wireEnd) times(o object) endTimes {
	t := endTimes{ended: parseTime(e.Status.CompletedAt), keptUntil: parseTime(e.Status.RetentionExpiryTime)}
	if o.phase == phaseTimedOut {
		t.ended = later(t.ended, parseTime(e.Status.TimeoutTime))
	}
	if t.ended.IsZero() {
		t.ended = later(later(o.createdAt, o.lastSeen), later(o.lastResolved, parseTime(e.Status.Deduplication.LastResolvedAt)))
		for _, c := range e.Status.Conditions {
			t.ended = later(t.ended, parseTime(c.LastTransitionTime))
		}
		for _, f := range e.Metadata.ManagedFields {
			t.ended = later(t.ended, parseTime(f.Time))
		}
	}
	return t
}

// prunable tells whether an object may be deleted because it ended longer ago than ttl.
// An object that asks for a review (ManualReviewRequired) is kept forever: no new request
// may be made before somebody has reviewed it, and the object does not say whether that
// has happened.
func (o object) prunable(t endTimes, now time.Time, ttl time.Duration) bool {
	if !o.ours || o.deleting || !o.terminal() || t.ended.IsZero() {
		return false
	}
	if _, quiet := o.quiet(now); quiet || t.keptUntil.After(now) {
		return false
	}
	// An object that asked for quiet can have counted an event long after its end. That
	// event may be redelivered, and its key is on record only here.
	return now.Sub(t.ended) > ttl && now.Sub(o.lastSeen) > redelivered
}
