package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"onefire/dedup"
)

// requestTotal is the API server's count of finished requests.
const requestTotal = "apiserver_request_total"

// calls reads how many calls for our objects the API server has answered, by
// verb.
func (a *api) calls(ctx context.Context) (map[string]float64, error) {
	body, err := a.get(ctx, "/metrics", "text/plain")
	if err != nil {
		return nil, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	defer body.Close()
	calls, err := parseCalls(body)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return calls, nil
}

// parseCalls sums requests by verb in the text format of Prometheus. Watches
// and HEAD requests are no part of how an alert is settled.
func parseCalls(metrics io.Reader) (map[string]float64, error) {
	calls := map[string]float64{}
	lines := bufio.NewScanner(metrics)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), requestTotal+"{")
		if !ok {
			continue
		}
		// The values of these labels hold no braces.
		text, value, ok := strings.Cut(rest, "} ")
		if !ok {
			return nil, fmt.Errorf("no value in %q", lines.Text())
		}
		labels := parseLabels(text)
		verb := labels["verb"]
		if labels["resource"] != dedup.Resource.Resource || verb == "WATCH" || verb == "HEAD" {
			continue
		}
		if labels["subresource"] != "" {
			verb += " " + labels["subresource"]
		}
		n, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
		if err != nil {
			return nil, fmt.Errorf("not a number in %q: %w", lines.Text(), err)
		}
		calls[verb] += n
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading lines: %w", err)
	}
	return calls, nil
}

// parseLabels reads a="b",c="d".
func parseLabels(text string) map[string]string {
	labels := map[string]string{}
	for text != "" {
		name, rest, ok := strings.Cut(text, `="`)
		if !ok {
			break
		}
		value, next, _ := strings.Cut(rest, `"`)
		labels[strings.TrimPrefix(name, ",")] = value
		text = next
	}
	return labels
}

// get asks the API server for something that is no object.
func (a *api) get(ctx context.Context, path, accept string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.admin.Host+path, nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Accept", accept)
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the API server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		resp.Body.Close()
		return nil, errors.Join(fmt.Errorf("the API server answers %s: %s", resp.Status, text), err)
	}
	return resp.Body, nil
}
