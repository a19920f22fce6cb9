package datastorage

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// deniedType is the type of the events that tell of requests over the limit.
const deniedType = "datastorage.ratelimit.denied"

// limiter allows each client address a rate of requests.
type limiter struct {
	rate  rate.Limit
	burst int

	mu      *sync.Mutex
	clients map[string]*rate.Limiter
}

func newLimiter(perSecond float64, burst int) limiter {
	return limiter{rate: rate.Limit(perSecond), burst: burst, mu: new(sync.Mutex), clients: map[string]*rate.Limiter{}}
}

// allow tells whether a client may make a request now.
func (l limiter) allow(r *http.Request) bool {
	if l.rate < 0 {
		return true
	}
	address := clientAddress(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[address] == nil {
		l.clients[address] = rate.NewLimiter(l.rate, l.burst)
	}
	return l.clients[address].Allow()
}

// deny answers a request that is over the limit. Like the real server it also
// stores an event of its own for each, which a query finds among the others.
func (s *Server) deny(w http.ResponseWriter, r *http.Request) {
	now, id, address := time.Now().UTC().Truncate(time.Microsecond), uuid.NewString(), clientAddress(r)
	// Like the real server's, the write is tried once and nobody is told.
	_ = s.store.note(r.Context(), &row{
		EventID: uuid.NewString(), Timestamp: now, Date: now.Format(time.DateOnly), EventType: deniedType, Version: "1.0",
		Category: "security", Action: "denied", Outcome: "failure", CorrelationID: id, ResourceType: "HTTPRequest", ResourceID: id,
		ActorType: "external", ActorID: address, RetentionDays: retentionDays,
		Data: map[string]any{"event_id": id, "event_type": deniedType, "method": r.Method, "path": r.URL.Path, "source_ip": address},
	})
	w.Header().Set("Retry-After", "1")
	problem(w, http.StatusTooManyRequests, "rate-limit-exceeded", "Rate Limit Exceeded",
		"Too many requests from your IP address. Please retry later.")
}

// clientAddress is the address that a client has or, as with the real server,
// says that it has.
func clientAddress(r *http.Request) string {
	forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	for _, said := range []string{r.Header.Get("True-Client-Ip"), r.Header.Get("X-Real-Ip"), forwarded} {
		if said != "" {
			if net.ParseIP(said) != nil {
				return said
			}
			break
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
