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
	// Objects is how many there are.
	Objects int
	// Paged tells that they were more than one answer may hold.
	Paged bool
}

// list reads the answer in one piece, as nearly every answer is small. An answer that
// is too large is given up, and then read in pages.
//
// It does not begin with pages: before Kubernetes 1.34 an API server reads each page
// from etcd, all of the namespace again and again, and only a List without a limit
// from its cache.
//
// Pages are as good as one answer. All of them show the state of the first one, which
// is read as any List without a resourceVersion is: what was written before the call
// is in it. When the API server has forgotten that state it says 410, and the reading
// begins again with a new one. So now, too, is the time of the first page.
func (k *kube) list(ctx context.Context, namespace string, s selector) ([]object, time.Time, error) {
	if s.active = s.active && !k.noPhases.Load(); s.active {
		objects, now, err := k.listReserved(ctx, namespace, s)
		if !apierrors.IsBadRequest(err) {
			return objects, now, err
		}
		// Kubernaut's CRD does not let the phase be selected by.
		k.noPhases.Store(true)
		s.active = false
	}
	return k.listReserved(ctx, namespace, s)
}

// listed makes a List, for which it waits until there is memory.
func (k *kube) listReserved(ctx context.Context, namespace string, s selector) ([]object, time.Time, error) {
	if s.urgent {
		return k.listWithin(ctx, namespace, s, &reservation{memoryBudget: k.budget, spare: listMemory})
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
	// It holds nothing now, so it may wait for more.
	if reserved, err = k.budget.reserve(ctx, longMemory); err != nil {
		return nil, time.Time{}, err
	}
	defer reserved.release()
	return k.listWithin(ctx, namespace, s, reserved)
}

// within makes a List in a share of the memory.
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
		reserved.spare = reserved.bytes // What was kept until now is dropped.
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
		for now = (time.Time{}); pages == 0 || err == nil && next != ""; pages++ {
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

// page makes one call of a List. Its objects go to what keeps them.
func (k *kube) page(
	ctx context.Context, about subject, s selector, query map[string]string, limit int64, kept *pastReducer, reserved *reservation,
) (now time.Time, next string, err error) {
	// Our own clock, should a proxy on the way take the Date header off.
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
