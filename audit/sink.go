package audit

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// sinkName is what errors call it.
const sinkName = "the audit sink"

// Options say where audit events go.
type Options struct {
	// URL is posted to as it is. A URL whose path ends in /audit/events is
	// DataStorage's: it also takes batches, at <URL>/batch, and says which events
	// it has. Any other URL is a CloudEvents sink that knows an event again by
	// its id.
	URL string
	// TokenFile holds a bearer token; empty for none. It is read again when
	// the token was refused and at least every minute.
	TokenFile string
	// CAFile and CACerts hold certificates in PEM that are trusted beside the
	// system's.
	CAFile  string
	CACerts string
	// Trial is the body of an event that DataStorage refuses even where it takes the
	// schema of our events; nil for none. It tells readiness whether it does.
	Trial any
	// Extensions are set on every event.
	Extensions map[string]string
}

// Sink delivers audit events. Any number of goroutines may use it.
type Sink struct {
	url, batchURL string
	// datastorage tells whether the sink is DataStorage: it makes a row of each
	// post, so it is asked before an event is sent a second time.
	datastorage bool
	// trial is posted until DataStorage has said that it takes the schema, which known
	// tells.
	trial      any
	known      atomic.Bool
	client     *Client
	extensions map[string]string
	memory     memory

	// ctx is that of the posts, which outlive their callers. It ends when Close has
	// waited long enough for those under way, which working counts.
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup

	// mu guards all below, and the items.
	mu   sync.Mutex
	pace pace
	// succeeded is when the sink last did what it was asked for.
	succeeded time.Time
	// items are those that are pending or under way, by id, and size is their
	// size in bytes. pending are those that wait, in the order of their sending.
	items   map[uuid.UUID]*item
	size    int
	pending []*item
	// asked tells that the last post began with a question.
	asked bool
	// busy are the keys of the items under way.
	busy map[string]bool
	// unbatched is until when events go one by one: the sink knows no batches.
	unbatched time.Time
	// wake calls dispatch at waking, zero for not at all.
	wake   *time.Timer
	waking time.Time
	closed bool
}

// errClosed is why nothing is sent any more.
var errClosed = errors.New("the audit sink is closed: the function stops")

// New makes a sink. It opens no connection.
func New(o Options) (*Sink, error) {
	client, err := NewClient(ClientOptions{
		Name: sinkName, TokenFile: o.TokenFile, TokenAge: tokenAge, CAFile: o.CAFile, CACerts: o.CACerts,
		MaxConnections: maxConnections, MaxIdle: maxConnections,
	})
	if err != nil {
		return nil, err
	}
	remembered, err := newMemory()
	if err != nil {
		return nil, err
	}
	s := &Sink{
		url:        o.URL,
		trial:      o.Trial,
		extensions: o.Extensions,
		memory:     remembered,
		items:      map[uuid.UUID]*item{},
		busy:       map[string]bool{},
		client:     client,
	}
	posts := maxConnections
	if u, err := url.Parse(o.URL); err == nil && strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/audit/events") {
		s.datastorage, s.batchURL, posts = true, u.JoinPath("batch").String(), maxPosts
	}
	s.pace = newPace(posts, s.datastorage)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close ends the deliveries that wait, waits for the posts under way, for
// closeWait at most, and closes the connections.
func (s *Sink) Close() {
	s.mu.Lock()
	s.closed = true
	if s.wake != nil {
		s.wake.Stop()
	}
	for _, it := range s.pending {
		s.finish(it, errClosed)
	}
	s.mu.Unlock()
	time.AfterFunc(closeWait, s.cancel)
	s.working.Wait()
	s.client.Close()
}
