package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"onefire/audit"
)

// query selects the alerts that fired. Prometheus, Thanos, Mimir and VictoriaMetrics all
// understand this much PromQL.
const query = `ALERTS{alertstate="firing"}`

// firstPauseOf and maxAnswerOf are [firstQueryPause] and [maxAnswer]; tests change them.
var (
	firstPauseOf = firstQueryPause
	maxAnswerOf  = maxAnswer
)

// prometheus asks a server with Prometheus' HTTP API for ranges of samples.
type prometheus struct {
	// url is that of /api/v1/query_range, without user and password.
	url    *url.URL
	user   *url.Userinfo
	client *http.Client
	// tokenFile holds a bearer token; it may be empty.
	tokenFile string
	header    http.Header
	step      time.Duration
}

// newPrometheus makes a prometheus from the URL that its users open. It opens no
// connection.
func newPrometheus(at, tokenFile, caFile string, header http.Header, step time.Duration) (*prometheus, error) {
	u, err := url.Parse(at)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("-prometheus: give a URL such as http://prometheus.monitoring:9090, with http or https")
	}
	if u.User != nil && tokenFile != "" {
		return nil, errors.New("-token-file: the URL of -prometheus has a user already; give one of the two")
	}
	p := &prometheus{user: u.User, tokenFile: tokenFile, header: header, step: step}
	var roots *x509.CertPool // nil means the system's
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("-ca-file: %w", err)
		}
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-ca-file: %s holds no certificate in PEM", caFile)
		}
	}
	p.client = &http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/v1")
	p.url = u.JoinPath("api", "v1", "query_range")
	return p, nil
}

// series is the samples of one label set in an answer.
type series struct {
	Metric map[string]string `json:"metric"`
	Values []moment          `json:"values"`
}

// moment is the time of a sample, in Unix milliseconds. The sample's value is always 1.
type moment int64

// UnmarshalJSON reads a pair of a time in seconds and a value.
func (m *moment) UnmarshalJSON(b []byte) error {
	seconds, _, ok := strings.Cut(strings.TrimLeft(string(b), "[ \t\r\n"), ",")
	at, err := strconv.ParseFloat(strings.TrimSpace(seconds), 64)
	if !ok || err != nil || at < 0 || at > 1e11 {
		return fmt.Errorf("not a sample: %.40q", b)
	}
	*m = moment(at*1000 + 0.5)
	return nil
}

// answer is an answer of query_range.
type answer struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	// VictoriaMetrics sets IsPartial if some of its storage did not answer.
	IsPartial bool `json:"isPartial"`
	Data      struct {
		ResultType string   `json:"resultType"`
		Result     []series `json:"result"`
	} `json:"data"`
}

// tooMuchError means that a query for a shorter time span can succeed.
type tooMuchError struct {
	reason string
	// late is set if the query took too long.
	late bool
}

func (e *tooMuchError) Error() string { return e.reason }

// ask asks for one range, both ends included, and tries again if the server is
// unavailable. After a [tooMuchError] the caller must ask for less.
func (p *prometheus) ask(ctx context.Context, from, to time.Time) (answer, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = firstPauseOf
	a, err := backoff.Retry(ctx, func() (answer, error) { return p.try(ctx, from, to) },
		backoff.WithBackOff(pauses), backoff.WithMaxTries(maxQueryTries), backoff.WithMaxElapsedTime(0))
	if ctx.Err() != nil {
		return answer{}, errors.New("interrupted: the rest of the history was not read")
	}
	if err != nil {
		return answer{}, fmt.Errorf("asking %s for what fired from %s to %s: %w", p.url.Host, clock(from), clock(to), err)
	}
	return a, nil
}

func (p *prometheus) try(ctx context.Context, from, to time.Time) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	at := *p.url
	at.RawQuery = url.Values{
		"query": {query}, "start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix(), 10)},
		"step": {strconv.FormatInt(int64(p.step/time.Second), 10)},
	}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return answer{}, backoff.Permanent(err)
	}
	for name, values := range p.header {
		req.Header[name] = values
	}
	if p.user != nil {
		password, _ := p.user.Password()
		req.SetBasicAuth(p.user.Username(), password)
	}
	if err := audit.ShowToken(req, p.tokenFile); err != nil {
		return answer{}, backoff.Permanent(err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return answer{}, late(ctx, err)
	}
	defer resp.Body.Close()
	limit := maxAnswerOf
	if resp.StatusCode != http.StatusOK {
		limit = maxErrorAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	switch {
	case err != nil:
		return answer{}, late(ctx, err)
	case resp.StatusCode != http.StatusOK:
		return answer{}, refusal(resp.StatusCode, body)
	case len(body) > maxAnswerOf:
		return answer{}, backoff.Permanent(&tooMuchError{reason: fmt.Sprintf("the answer has more than %d bytes", maxAnswerOf)})
	}
	return decode(body)
}

// late turns the error of a query that took too long into a [tooMuchError].
func late(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return backoff.Permanent(&tooMuchError{reason: fmt.Sprintf("no answer within %s", queryTimeout), late: true})
	}
	return err
}

func decode(body []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return answer{}, backoff.Permanent(fmt.Errorf("the server answered 200 with something other than Prometheus' JSON: "+
			"name the address of its API, and credentials if this is the page of a login (%w)", err))
	}
	if a.Status != "success" || a.Data.ResultType != "matrix" {
		return answer{}, backoff.Permanent(fmt.Errorf("the server answered 200 with status %q and a result of type %q, not with a matrix: is this a Prometheus? %s",
			a.Status, a.Data.ResultType, printable(a.Error)))
	}
	return a, nil
}

// refusal makes an error from an answer other than 200. The error says what to do.
func refusal(status int, body []byte) error {
	var a answer
	what := fmt.Sprintf("%d %s", status, http.StatusText(status))
	if json.Unmarshal(body, &a) == nil && a.Error != "" {
		what += ": " + printable(a.Error)
	}
	timeout := a.ErrorType == "timeout"
	switch {
	case status == http.StatusUnauthorized:
		what += ": the server wants credentials; give -token-file FILE, or http://USER:PASSWORD@… as -prometheus"
	case status == http.StatusForbidden:
		what += ": these credentials may not query; on OpenShift and with a tenant proxy they need the right to read metrics"
	case status == http.StatusNotFound:
		what += ": is this a Prometheus? The URL is what stands before /api/v1/query_range; Mimir's ends in /prometheus"
	case status == http.StatusBadRequest && strings.Contains(a.Error, "maximum resolution"),
		status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return backoff.Permanent(&tooMuchError{reason: what})
	case timeout || status == http.StatusGatewayTimeout:
		return backoff.Permanent(&tooMuchError{reason: what, late: true})
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return errors.New(what)
	}
	return backoff.Permanent(errors.New(what))
}

// clock formats a time for people and scripts.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
