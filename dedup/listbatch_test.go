package dedup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// listing is an API whose Lists take a second. It records them.
type listing struct {
	api
	fail func(selector) error
	seen func(context.Context)

	mu      sync.Mutex
	objects []object
	lists   []selector
}

func (l *listing) list(ctx context.Context, _ string, by selector) ([]object, time.Time, error) {
	l.mu.Lock()
	l.lists = append(l.lists, by)
	l.mu.Unlock()
	if l.seen != nil {
		l.seen(ctx)
	}
	select {
	case <-time.After(time.Second): // By the test's own clock.
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	if l.fail != nil {
		if err := l.fail(by); err != nil {
			return nil, time.Time{}, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []object
	for _, o := range l.objects {
		byLabel := by.labels == nil && !o.ours || o.ours && slices.Contains(by.labels, label(o.fingerprint))
		if o.fingerprint == by.fingerprint || by.fingerprint == "" && byLabel {
			out = append(out, o)
		}
	}
	return out, epoch, nil
}

// subjects are n fingerprints and an object of each; every third is foreign.
func subjects(n int) (fingerprints []string, objects []object) {
	for i := range n {
		fingerprints = append(fingerprints, digest(fmt.Sprint(i)))
		objects = append(objects, object{name: fmt.Sprint(i), uid: types.UID(fmt.Sprint(i)), fingerprint: fingerprints[i], ours: i%3 != 0})
	}
	return fingerprints, objects
}

// ask asks for all fingerprints, the first one a moment before the others, and returns
// the errors in their order.
func ask(t *testing.T, g *listBatcher, fingerprints []string, want []object) []error {
	t.Helper()
	errs := make([]error, len(fingerprints))
	var all sync.WaitGroup
	for i, fp := range fingerprints {
		all.Go(func() {
			objects, now, err := g.list(t.Context(), "ns", fp, nil)
			if errs[i] = err; err == nil {
				require.Equal(t, []object{want[i]}, objects)
				require.Equal(t, epoch, now)
			}
		})
		if i == 0 {
			synctest.Wait()
		}
	}
	all.Wait()
	synctest.Wait()
	require.Empty(t, g.spaces)
	return errs
}

func TestListsThatWaitAreMadeAsOne(t *testing.T) {
	for reason, row := range map[string]struct {
		subjects int
		lists    []string
	}{
		"one waits for nobody":              {1, []string{"one"}},
		"two are cheaper one by one":        {3, []string{"one", "one", "one"}},
		"three are cheaper together":        {4, []string{"one", "3", "others"}},
		"the more are one, and all others'": {40, []string{"one", "39", "others"}},
		"a URL has its limits":              {maxLabels + 11, []string{"one", fmt.Sprint(maxLabels), "10", "others"}},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fingerprints, objects := subjects(row.subjects)
				l := &listing{objects: objects}
				require.NoError(t, errors.Join(ask(t, newListBatcher(l), fingerprints, objects)...))
				var lists []string
				for _, by := range l.lists {
					switch {
					case by.fingerprint != "":
						lists = append(lists, "one")
					case by.labels != nil:
						lists = append(lists, fmt.Sprint(len(by.labels)))
					default:
						lists = append(lists, "others")
					}
				}
				require.Equal(t, row.lists, lists)
			})
		})
	}
}

func TestWhatNobodyElseMakesIsNotAskedForEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(5)
		for i := range objects {
			objects[i].ours = true
		}
		l := &listing{objects: objects}
		g := newListBatcher(l)
		asked := func(to []object) int {
			l.lists = nil
			require.NoError(t, errors.Join(ask(t, g, fingerprints, to)...))
			return len(slices.DeleteFunc(l.lists, func(by selector) bool { return by.fingerprint != "" || by.labels != nil }))
		}
		require.Equal(t, 1, asked(objects))
		g.setUntil(g.noneUnlabelled, "ns", time.Now().Add(5*time.Second))
		require.Zero(t, asked(objects), "there was nothing")
		pass(5 * time.Second)
		objects[3].ours = false
		require.Equal(t, 1, asked(objects), "somebody made something since")
		require.Equal(t, 1, asked(objects), "there is something")
	})
}

func TestAListBeginsAfterAllWhoShareItAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listing{}
		g := newListBatcher(l)
		go func() { _, _, _ = g.list(t.Context(), "ns", digest("a"), nil) }()
		pass(500 * time.Millisecond) // That List is running.
		synctest.Wait()
		l.mu.Lock()
		l.objects = []object{{uid: "late", fingerprint: digest("a"), ours: true}}
		l.mu.Unlock()
		begun := time.Now()
		objects, _, err := g.list(t.Context(), "ns", digest("a"), nil)
		require.NoError(t, err)
		require.Len(t, objects, 1)
		require.Equal(t, 1500*time.Millisecond, time.Since(begun), "it waited for the first, and for one of its own")
	})
}

func TestACrowdedNamespaceIsListedOneByOneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(10)
		l := &listing{objects: objects, fail: func(by selector) error {
			if by.fingerprint == "" && by.labels == nil {
				return errTooLarge
			}
			return nil
		}}
		g := newListBatcher(l)
		shared := func() int {
			l.lists = nil
			require.NoError(t, errors.Join(ask(t, g, fingerprints, objects)...))
			return len(l.lists) - len(fingerprints)
		}
		require.Equal(t, 2, shared(), "it was tried")
		require.Zero(t, shared(), "it is not tried again")
		pass(tooManyFor)
		require.Equal(t, 2, shared(), "it may have changed")
	})
}

func TestAFailedListFailsAllWhoShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trouble := errors.New("trouble")
		fingerprints, objects := subjects(10)
		l := &listing{objects: objects, fail: func(by selector) error {
			if by.labels != nil {
				return trouble
			}
			return nil
		}}
		for i, err := range ask(t, newListBatcher(l), fingerprints, objects) {
			if i == 0 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, trouble)
			}
		}
	})
}

func TestOneThatFailsByItselfTouchesNoOther(t *testing.T) {
	for reason, fail := range map[string]func() error{
		"an error": func() error { return errors.New("trouble") },
		"a panic":  func() error { panic("trouble") },
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fingerprints, objects := subjects(10)
				g := newListBatcher(&listing{objects: objects, fail: func(by selector) error {
					switch by.fingerprint {
					case "": // The namespace has too many objects.
						return errTooLarge
					case fingerprints[3]:
						return fail()
					}
					return nil
				}})
				for i, err := range ask(t, g, fingerprints, objects) {
					if i == 3 {
						require.ErrorContains(t, err, "trouble")
					} else {
						require.NoError(t, err)
					}
				}
			})
		})
	}
}

func TestAPanicIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(5)
		g := newListBatcher(&listing{objects: objects, fail: func(by selector) error {
			if by.labels != nil {
				panic("a bug")
			}
			return nil
		}})
		for i, err := range ask(t, g, fingerprints, objects) {
			if i > 0 {
				require.ErrorContains(t, err, "a bug")
			}
		}
		require.NoError(t, ask(t, g, fingerprints[:1], objects)[0], "the namespace is not stuck")
	})
}

func TestAListThatIsStuckHoldsUpNobodyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(5)
		stuck := func(by selector) error {
			if by.fingerprint == fingerprints[0] {
				pass(time.Hour)
			}
			return nil
		}
		g := newListBatcher(&listing{objects: objects, fail: stuck})
		go func() { _, _, _ = g.list(t.Context(), "ns", fingerprints[0], nil) }()
		synctest.Wait()
		begun := time.Now()
		_, _, err := g.list(t.Context(), "ns", fingerprints[1], nil)
		require.NoError(t, err)
		require.Equal(t, maxListDelay+time.Second, time.Since(begun))
		pass(2 * time.Hour)
		synctest.Wait()
		require.Empty(t, g.spaces)
	})
}

func TestALargeListIsMadeInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(10)
		l := &listing{objects: objects, fail: func(by selector) error {
			if len(by.labels) > 3 {
				return errTooLarge
			}
			return nil
		}}
		g := newListBatcher(l)
		require.NoError(t, errors.Join(ask(t, g, fingerprints, objects)...))
		require.Empty(t, g.tooMany, "it is not others that make it large")
	})
}

// The values of the first caller's context must not accumulate while there is always
// another caller.
func TestABusyNamespaceKeepsNoContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		longest := 0
		l := &listing{seen: func(ctx context.Context) { longest = max(longest, len(fmt.Sprint(ctx))) }}
		g := newListBatcher(l)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { _, _, _ = g.list(t.Context(), "ns", digest("a"), nil) })
			pass(900 * time.Millisecond) // Never idle.
		}
		all.Wait()
		synctest.Wait()
		require.Greater(t, len(l.lists), 50)
		require.Less(t, longest, 1000)
	})
}

func TestWhoGivesUpHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fingerprints, objects := subjects(5)
		g := newListBatcher(&listing{objects: objects})
		hasty, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for range 2 { // the caller that makes the List, and one that waits for the next
			go func() {
				_, _, err := g.list(hasty, "ns", fingerprints[0], nil)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}()
			synctest.Wait()
		}
		require.NoError(t, errors.Join(ask(t, g, fingerprints[1:], objects[1:])...))
	})
}

func TestWhatASelectorAsksFor(t *testing.T) {
	for reason, row := range map[string]struct {
		by          selector
		name, value string
	}{
		"a fingerprint, by what cannot change": {selector{fingerprint: "abc"}, "fieldSelector", "spec.signalFingerprint=abc"},
		"one, by label":                        {selector{labels: []string{"a"}}, "labelSelector", "onefire/fingerprint in (a)"},
		"several, by label":                    {selector{labels: []string{"a", "b"}}, "labelSelector", "onefire/fingerprint in (a,b)"},
		"what has no label":                    {selector{}, "labelSelector", "!onefire/fingerprint"},
	} {
		t.Run(reason, func(t *testing.T) {
			name, value := row.by.param()
			require.Equal(t, [2]string{row.name, row.value}, [2]string{name, value})
		})
	}
	require.Less(t, maxLabels*len(label(strings.Repeat("a", 64))+"%2C"), 4<<10)
}
