package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/dedup"
)

// collection is objects of one kind that are deleted when they are old. name is its name
// in the log.
type collection struct {
	name string
	page pages
}

// pages reads one page of a collection: at most size objects, from the token next on.
type pages func(ctx context.Context, size int, next string) (page, error)

// page has how many objects were read, which of them are old, and the token for the next
// page, which is empty after the last page.
type page struct {
	read int
	old  []expiredObject
	next string
}

// expiredObject is one object that may be deleted.
type expiredObject struct {
	// key is its position in the order of the pages: namespace/name.
	key string
	// what is the object in the log, with attributes and the level of the line.
	what  string
	is    []slog.Attr
	level slog.Level
	// delete deletes the object in the revision that was read.
	delete func(context.Context) error
}

// pruneCounts are the results of a run for one collection.
type pruneCounts struct {
	read, deleted int
	// gone were deleted by another program meanwhile. changed were written meanwhile; the
	// next run checks them again.
	gone, changed, failed int
}

func (c pruneCounts) attr(name string, dry bool) slog.Attr {
	if dry {
		return slog.Group(name, slog.Int("read", c.read), slog.Int("would_be_deleted", c.deleted))
	}
	return slog.Group(name, slog.Int("read", c.read), slog.Int("deleted", c.deleted), slog.Int("gone", c.gone),
		slog.Int("changed", c.changed), slog.Int("failed", c.failed))
}

// pruner is one run. It makes one call at a time.
type pruner struct {
	log   *slog.Logger
	dry   bool
	shown *pruneProgress
	rate  *rate.Limiter
	// pause waits. It fails when the context ends.
	pause func(context.Context, time.Duration) error
}

// errLate means that the run has used up its time. The next run goes on.
var errLate = errors.New("out of time")

// errKept means that an object could not be deleted; the log says why.
var errKept = errors.New("an object could not be deleted")

// sweep reads a whole collection and deletes what is old. It goes on after an object that
// could not be deleted, unless that happens again and again.
func (r *pruner) sweep(ctx context.Context, s collection) (did pruneCounts, err error) {
	size, next, last, restarts, failures := prunePage, "", "", 0, 0
	for {
		var p page
		err := r.try(ctx, func(ctx context.Context) (err error) {
			p, err = s.page(ctx, size, next)
			return err
		})
		switch {
		case errors.Is(err, dedup.ErrTooLarge) && size > 1:
			size /= 2
			continue
		case expired(err) && next != "" && restarts < maxPruneRestarts:
			// Deleting takes longer than the API server keeps the state of the pages.
			// Begin anew with the current state; everything up to last is done.
			restarts++
			next, did.read = "", 0
			continue
		case err != nil:
			return did, fmt.Errorf("reading %s: %w", s.name, err)
		}
		did.read += p.read
		for _, o := range p.old {
			if o.key <= last {
				continue
			}
			last, restarts = o.key, 0
			err := r.one(ctx, o, &did)
			switch {
			case err == nil:
				failures = 0
			case !errors.Is(err, errKept):
				return did, err
			case failures+1 == maxPruneFailures:
				return did, fmt.Errorf("deleting %s: %d failed in a row", s.name, maxPruneFailures)
			default:
				failures++
			}
			r.shown.report(s.name, did, r.dry)
		}
		r.shown.report(s.name, did, r.dry)
		if next = p.next; next == "" {
			return did, nil
		}
	}
}

// one deletes one object, counts it and logs it. It fails with [errKept] if the object
// could not be deleted, and with another error if the run must stop.
func (r *pruner) one(ctx context.Context, o expiredObject, did *pruneCounts) error {
	if r.dry {
		did.deleted++
		r.report(ctx, o.level, o, o.what+" would be deleted")
		return nil
	}
	tries := 0
	err := r.try(ctx, func(ctx context.Context) error {
		tries++
		return o.delete(ctx)
	})
	switch {
	case err == nil, apierrors.IsNotFound(err) && tries > 1:
		// If a first attempt got no answer, that attempt has deleted the object.
		did.deleted++
		r.report(ctx, o.level, o, o.what+" deleted")
	case apierrors.IsNotFound(err):
		did.gone++
		r.report(ctx, slog.LevelDebug, o, o.what+" is gone already")
	case apierrors.IsConflict(err):
		did.changed++
		r.report(ctx, slog.LevelDebug, o, o.what+" changed meanwhile: it stays")
	case errors.Is(err, errLate), ctx.Err() != nil:
		return err
	default:
		did.failed++
		r.report(ctx, slog.LevelError, o, o.what+" could not be deleted", slog.String("error", err.Error()))
		return errKept
	}
	return nil
}

func (r *pruner) report(ctx context.Context, level slog.Level, o expiredObject, message string, more ...slog.Attr) {
	r.shown.end()
	r.log.LogAttrs(ctx, level, message, append(o.is, more...)...)
}

// try makes a call until the API server has given a final answer.
func (r *pruner) try(ctx context.Context, call func(context.Context) error) error {
	wait := firstPrunePause
	for tries := 1; ; tries++ {
		if r.rate.Wait(ctx) != nil {
			return stopped(ctx)
		}
		err := tryOnce(ctx, call)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return stopped(ctx)
		case tries == maxPruneTries, !passes(err):
			return err
		}
		asked, _ := apierrors.SuggestsClientDelay(err)
		if r.pause(ctx, max(wait, min(time.Duration(asked)*time.Second, maxPrunePause))) != nil {
			return stopped(ctx)
		}
		wait *= 2
	}
}

func tryOnce(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, pruneCallTimeout)
	defer cancel()
	return call(ctx)
}

// stopped returns why a run must stop: it was cancelled, or has used up its time. The
// rate limiter gives up a moment before the deadline.
func stopped(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return errLate
}

// passes tells whether an error can be temporary: there was no answer, or the API server
// was unavailable.
func passes(err error) bool {
	if errors.Is(err, dedup.ErrTooLarge) {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
}

// expired tells whether the API server no longer has the state of a page.
func expired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
