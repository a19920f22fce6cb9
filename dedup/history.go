package dedup

import (
	"context"
	"slices"
	"sync"
	"time"
)

// history limits the past of a fingerprint, as a Deployment or a CronJob limits its own.
// After a handler created an object, history deletes the oldest ended objects beyond the
// limit. This is best effort, and no caller waits for it: the next create deletes what is
// left.
//
// For the protocol this is retention, that is, any program that deletes an ended object
// between any two calls of a handler. The last object stays, because the next name
// follows from it.
type history struct {
	api   api
	limit int
	// deleted is called with each object that was deleted; it may be nil.
	deleted func(namespace, name string)
	// slots limits how many pasts are shortened at the same time.
	slots chan struct{}
	done  sync.WaitGroup
	ctx   context.Context
	stop  context.CancelFunc
}

func newHistory(a api, limit int, deleted func(namespace, name string)) *history {
	h := &history{api: a, limit: limit, deleted: deleted, slots: make(chan struct{}, maxShortened)}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// shorten deletes the surplus of a past in which an object was just created. It does so
// in a goroutine that ends within [shortenTimeout], or with close.
func (h *history) shorten(_ context.Context, namespace string, past []object, now time.Time) {
	beyond := surplus(past, h.limit, now)
	if len(beyond) == 0 {
		return
	}
	select {
	case h.slots <- struct{}{}:
	default:
		return
	}
	h.done.Go(func() { //nolint:contextcheck // It outlives the call that it comes after.
		defer func() { <-h.slots }()
		ctx, cancel := context.WithTimeout(h.ctx, shortenTimeout)
		defer cancel()
		for _, o := range beyond {
			err := h.api.delete(ctx, namespace, o.name, o.uid, o.resourceVersion)
			switch {
			case err == nil && h.deleted != nil:
				h.deleted(namespace, o.name)
			case err != nil && !lost(err):
				return // The next deletion would fail as well.
			}
		}
	})
}

// close stops the running deletions. No call of shorten may follow.
func (h *history) close() {
	h.stop()
	h.done.Wait()
}

// surplus returns the ended objects beyond a limit, the oldest first; a limit of zero
// means that there is none. It keeps objects of other programs, objects that are being
// deleted or still ask for quiet, and objects whose last counted event may be
// redelivered. It also keeps all objects that are as old as the last one, because their
// creation times do not show in which order they were created.
func surplus(past []object, limit int, now time.Time) []object {
	_, ended := split(past)
	ended = slices.DeleteFunc(ended, func(o object) bool { return !o.ours || o.deleting })
	end := last(ended)
	if limit == 0 {
		return nil
	}
	n := max(0, len(ended)-limit)
	slices.SortFunc(ended, byAge)
	ended = slices.DeleteFunc(ended, func(o object) bool {
		_, quiet := o.quiet(now)
		young := now.Sub(later(o.createdAt, o.lastSeen)) <= redelivered
		return quiet || young || !o.createdAt.Before(end.createdAt)
	})
	return ended[:min(n, len(ended), maxSurplus)]
}
