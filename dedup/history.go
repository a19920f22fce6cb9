package dedup

import (
	"context"
	"slices"
	"sync"
	"time"
)

// history keeps the past of a fingerprint short, as that of a Deployment or a CronJob
// is: whoever has made an object deletes ended ones, the oldest first, until no more
// than a limit are left. That is best effort, and nothing waits for it: what stays is
// deleted by who makes the next object.
//
// To the protocol it is retention: that somebody deletes an ended object between any
// two calls. The last one, from which the next name follows, stays.
type history struct {
	api   api
	limit int
	// deleted is told of each object that went; it may be nil.
	deleted func(namespace, name string)
	// places bound how many pasts are shortened at a time.
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

// shorten deletes what is beyond the limit in a past that somebody has just made an
// object on, in a goroutine that ends within [shortenTimeout] or with close.
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
				return // The next one would fail as well.
			}
		}
	})
}

// close ends what is under way. Nobody may shorten any more.
func (h *history) close() {
	h.stop()
	h.done.Wait()
}

// surplus are the ended objects of a past beyond a limit, the oldest first; none if
// the limit is zero. It leaves the objects of others, what is being deleted, what
// still asks for quiet, what counted an alert so late that its event may be delivered
// again, and all that is as old as the last one: among those the order in which they
// were made is not in their times.
func surplus(past []object, limit int, now time.Time) []object {
	_, ended := split(past)
	ended = slices.DeleteFunc(ended, func(o object) bool { return !o.ours || o.deleting })
	end := last(ended)
	n := len(ended) - limit
	if limit == 0 || n <= 0 {
		return nil
	}
	slices.SortFunc(ended, byAge)
	ended = slices.DeleteFunc(ended, func(o object) bool {
		_, quiet := o.quiet(now)
		young := now.Sub(later(o.createdAt, o.lastSeen)) <= redelivered
		return quiet || young || !o.createdAt.Before(end.createdAt)
	})
	return ended[:min(n, len(ended), maxSurplus)]
}
