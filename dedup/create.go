package dedup

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/dedup/client"
	"onefire/mapping"
)

// create creates an object for the first missing key whose alert the API server accepts.
// Keys whose alert it rejects are then counted on that object, as they would be if they
// came later. The keys are settled without an object if the API server rejects all of
// them, if the brake is on, or if a quota is used up.
func (h *handler) create(ctx context.Context, v verdict) error {
	h.objects = nil
	if h.capped != nil {
		h.settleWithout(v.missing, Outcome{Reason: mapping.QuotaExceeded, Capped: h.capped})
		return nil //nolint:nilerr // The outcomes say it.
	}
	for _, key := range v.missing {
		if h.rejected[key] != nil {
			continue
		}
		uid, err := h.api.create(ctx, h.signal.Namespace, newRequest(v.name, v.object.uid, h.signalFor(key), h.signalType, key, h.now))
		switch {
		case err == nil:
			h.created, h.createdFor = uid, key
			h.reasons[key] = v.reason
			return nil
		case apierrors.IsAlreadyExists(err):
			h.lostRound = true
			return h.nameTaken(ctx, v.name)
		}
		var paused *pausedError
		if errors.As(err, &paused) {
			h.settleWithout(v.missing, Outcome{Reason: mapping.BrakeOn, Paused: &paused.pause})
			return nil
		}
		err = fmt.Errorf("creating RemediationRequest %s/%s: %w", h.signal.Namespace, v.name, err)
		if quota, ok := client.OverQuota(err); ok {
			// The API server checks the quota before the name, so another handler may
			// have created the object. The next List shows it.
			h.capped = &QuotaError{Quota: quota, Err: err}
			return nil
		}
		why := rejected(err)
		switch {
		case why == nil:
			return err
		case why.OfNamespace(): // Then no other object is accepted either.
			for _, key := range v.missing {
				h.rejected[key] = why
			}
		default:
			h.rejected[key] = why
		}
	}
	h.settleWithout(v.missing, Outcome{})
	return nil
}

// settleWithout settles keys without an object. Keys of rejected alerts get their
// rejection, all others the outcome o.
func (h *handler) settleWithout(keys []string, o Outcome) {
	for _, key := range keys {
		if h.done[key] = o; h.rejected[key] != nil {
			h.done[key] = Outcome{Rejected: h.rejected[key]}
		}
	}
}

// nameTaken handles AlreadyExists. Normally the next List shows the object that has the
// name. If it does not, and the same name is refused again, the name may belong to
// another fingerprint. nameTaken then reads that object, and the next decision uses
// another name.
func (h *handler) nameTaken(ctx context.Context, name string) error {
	if h.refused != name {
		h.refused = name
		return nil
	}
	o, err := h.api.get(ctx, h.signal.Namespace, name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading RemediationRequest %s/%s: %w", h.signal.Namespace, name, err)
	}
	if err == nil && o.fingerprint != h.signal.Fingerprint {
		if o.ours && label(o.fingerprint) != label(h.signal.Fingerprint) {
			// Another name would only add one more such object.
			return fmt.Errorf("RemediationRequest %s/%s: %w", h.signal.Namespace, name, errChanged)
		}
		h.takenNames[name] = true
	}
	return nil
}
