package dedup

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// LongPast says that a fingerprint has more objects than a List keeps.
type LongPast struct {
	Namespace, Fingerprint string
	// Objects is how many objects the fingerprint has.
	Objects int
	// Paged tells that the List took several pages.
	Paged bool
}

// list first asks for the whole answer, because nearly every answer is small. An answer
// that is too large is abandoned and then read in pages.
//
// list does not begin with pages because before Kubernetes 1.34 an API server reads each
// page from etcd, and the whole namespace each time. Only a List without a limit is
// served from its cache.
//
// Pages are as good as one answer. All pages show the state of the first one, which
// contains everything that was written before the call, as in any List without a
// resourceVersion. When the API server has forgotten that state it answers 410, and the
// paging begins anew. now is the time of the first page.
func (k *kube) list(ctx context.Context, namespace string, s selector) ([]object, time.Time, error) {
	if s.active = s.active && !k.noPhases.Load(); s.active {
		objects, now, err := k.listReserved(ctx, namespace, s)
		if !apierrors.IsBadRequest(err) {
			return objects, now, err
		}
		// Kubernaut's CRD has no field selector for the phase.
		k.noPhases.Store(true)
		s.active = false
	}
	return k.listReserved(ctx, namespace, s)
}

// listReserved makes a List within the memory budget. It waits until the List can begin.
func (k *kube) listReserved(ctx context.Context, namespace string, s selector) ([]object, time.Time, error) {
	if s.urgent {
		reserved := &reservation{memoryBudget: k.budget, spare: listMemory}
		defer reserved.release()
		return k.listWithin(ctx, namespace, s, reserved)
	}
	reserved, err := k.budget.reserve(ctx, listMemory)
	if err != nil {
		return nil, time.Time{}, err
	}
	objects, now, err := k.listWithin(ctx, namespace, s, reserved)
	reserved.release()
	if !errors.Is(err, errBusy) {
		return objects, now, err
	}
	// This List holds no memory now, so it may wait for more.
	if reserved, err = k.budget.reserve(ctx, longMemory); err != nil {
		return nil, time.Time{}, err
	}
	defer reserved.release()
	return k.listWithin(ctx, namespace, s, reserved)
}

// listWithin makes a List within a reservation.
func (k *kube) listWithin(ctx context.Context, namespace string, s selector, reserved *reservation) ([]object, time.Time, error) {
	about := subject{namespace, s.fingerprint}
	limit := int64(maxList)
	if s.fingerprint == "" {
		limit = maxBatchList
	}
	kept := newPastReducer(s.keys, reserved.grow)
	var now time.Time
	err := errTooLarge
	if s.active || !k.long.Contains(about) {
		now, _, err = k.page(ctx, about, s, nil, limit, kept, reserved)
	}
	paged := errors.Is(err, errTooLarge) && s.fingerprint != ""
	if paged {
		reserved.spare = reserved.bytes // The objects that were read until now are dropped.
		kept, now, err = k.pages(ctx, about, s, reserved)
	}
	if err != nil {
		return nil, now, err
	}
	for fingerprint, p := range kept.pasts {
		if p.long {
			k.onLongPast(LongPast{namespace, fingerprint, p.count, paged})
		}
	}
	return kept.objects(), now, nil
}

// pages reads all pages of a fingerprint's objects.
func (k *kube) pages(ctx context.Context, about subject, s selector, reserved *reservation) (kept *pastReducer, now time.Time, err error) {
	for try := 1; ; try++ {
		kept = newPastReducer(s.keys, reserved.grow)
		next, pages := "", 0
		for now = (time.Time{}); pages == 0 || next != ""; pages++ { // An error has no next page.
			var at time.Time
			query := map[string]string{"limit": strconv.Itoa(pageSize), "continue": next}
			if at, next, err = k.page(ctx, about, s, query, maxPage, kept, reserved); pages == 0 {
				now = at
			}
		}
		switch {
		case s.active && err == nil:
		case err == nil && pages > 1:
			k.long.Add(about, struct{}{})
		case err == nil:
			k.long.Remove(about)
		case apierrors.IsResourceExpired(err) && try < maxPagings:
			reserved.spare = reserved.bytes
			continue
		}
		return kept, now, err
	}
}

// page makes one call of a List and passes each object to the reducer.
func (k *kube) page(
	ctx context.Context, about subject, s selector, query map[string]string, limit int64, kept *pastReducer, reserved *reservation,
) (now time.Time, next string, err error) {
	// Our own clock stands in if a proxy removes the Date header.
	now = time.Now()
	ctx = context.WithValue(ctx, dateKey{}, &now)
	// Without a resourceVersion the answer is the most recent state.
	r := k.request(k.client.Get(), about.namespace).Param(s.param())
	for name, value := range query {
		if value != "" {
			r = r.Param(name, value)
		}
	}
	call := k.do
	if s.urgent {
		call = k.doUnlimited
	}
	err = call(ctx, r, func(answer io.Reader) error {
		next, err = readList(&boundedReader{answer, limit}, reserved.grow, kept.add)
		return err
	})
	return now, next, err
}
