package datastorage

import (
	"net"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

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
