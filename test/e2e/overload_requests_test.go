package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// trickle is a request whose body comes piece by piece and never ends.
type trickle struct{ head, piece string }

func (r *trickle) Read(p []byte) (int, error) {
	if r.head != "" {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	time.Sleep(slowPace) // The pace is what is tested: a sender so slow that each byte comes in time.
	return copy(p, r.piece), nil
}

// head is the head of a request as it goes over the wire.
func head(method string, header ...string) string {
	return method + " / HTTP/1.1\r\nHost: onefire\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n"
}

// posted is a POST as it goes over the wire.
func posted(body string, header ...string) []byte {
	return []byte(head(http.MethodPost, append(header, "Content-Length: "+strconv.Itoa(len(body)))...) + body)
}

// chunked is the same without a known length.
func chunked(body string, header ...string) []byte {
	return fmt.Appendf(nil, "%s%x\r\n%s\r\n0\r\n\r\n", head(http.MethodPost, append(header, "Transfer-Encoding: chunked")...), len(body), body)
}

// ceID is the header of an event in binary mode.
func ceID(id string) string {
	return "Ce-Specversion: 1.0\r\nCe-Type: test\r\nCe-Source: /overload\r\nContent-Type: application/json\r\nCe-Id: " + id
}

const (
	structuredMode = "Content-Type: application/cloudevents+json"
	batchMode      = "Content-Type: application/cloudevents-batch+json"
)

func structured(id, data string) string {
	return `{"specversion":"1.0","type":"test","source":"/overload","id":"` + id + `","data":` + data + `}`
}

// heavyEvents are valid events that are nearly as large as may be, in shapes
// that take the most memory to decode. Their alerts are heartbeats, which take
// the whole way but the API server's.
func heavyEvents() [][]byte {
	// heartbeat has n labels and n annotations, in the fewest bytes.
	heartbeat := func(n int) string {
		fields := ""
		for i := range n {
			fields += fmt.Sprintf(`,"%d":0`, i)
		}
		return `{"labels":{"alertname":"Watchdog"` + fields + `},"annotations":{"x":0` + fields + `}}`
	}
	// full repeats a text as often as fits.
	full := func(s string) []string { return slices.Repeat([]string{s}, heavySize/(len(s)+1)) }
	small, wide := webhook(full(heartbeat(72))...), webhook(full(heartbeat(10_000))...)
	text := webhook(alert("firing", "alertname=Watchdog", "description="+strings.Repeat("x", heavySize)))
	batch := "[" + strings.Join(full(structured("1", webhook(heartbeat(1_300)))), ",") + "]"
	return [][]byte{
		posted(small, ceID("1")),
		chunked(small, ceID("1")),
		posted(wide, ceID("1")),
		posted(text, ceID("1")),
		posted(structured("1", wide), structuredMode),
		posted(batch, batchMode),
	}
}

type brokenRequest struct {
	request []byte
	status  int
}

// brokenRequests are wrong or odd, each in its own way. Each that is answered
// 200 makes one object.
func brokenRequests(t *testing.T) map[string]brokenRequest {
	t.Helper()
	odd := func(name string, labels map[string]string) string {
		labels["alertname"] = name
		body, err := json.Marshal(map[string]any{"alerts": []any{map[string]any{"status": "firing", "labels": labels}}})
		require.NoError(t, err)
		return string(body)
	}
	good := func(name string) string { return webhook(firing("Odd", name)) }
	wide := map[string]string{}
	for i := range 10_000 {
		wide[fmt.Sprintf("label_%d", i)] = "v"
	}
	return map[string]brokenRequest{
		"1 MiB of [":                     {posted(strings.Repeat("[", 1<<20), ceID("1")), 400},
		"1 MiB of objects in objects":    {posted(strings.Repeat(`{"a":`, 1<<20/5), ceID("1")), 400},
		"an alert with 5,000 arrays":     {posted(strings.Replace(good("deep"), `"labels"`, `"deep":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,"labels"`, 1), ceID("1")), 200},
		"an alert with 20,000 arrays":    {posted(strings.Replace(good("deeper"), `"labels"`, `"deep":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`,"labels"`, 1), ceID("1")), 400},
		"10,000 labels":                  {posted(odd("wide", wide), ceID("1")), 200},
		"2,001 alerts":                   {posted(webhook(slices.Repeat([]string{firing("Odd", "many")}, mapping.MaxAlerts+1)...), ceID("1")), 413},
		"a huge label name":              {posted(odd("key", map[string]string{strings.Repeat("k", 1<<20): "v"}), ceID("1")), 200},
		"broken UTF-8":                   {posted(good("utf-8 \xff\xc0\xaf\xed\xa0\x80"), ceID("1")), 200},
		"NUL in JSON, escaped":           {posted(odd("nul", map[string]string{"a\x00b": "c\x00d"}), ceID("1")), 200},
		"NUL in JSON, as it is":          {posted(good("nul")+"\x00", ceID("1")), 400},
		"label names of no kind":         {posted(odd("names", map[string]string{"": "a", "odd / : name": "b", "-_-": "c", "🔥": "d"}), ceID("1")), 200},
		"JSON that ends early":           {posted(good("early")[:50], ceID("1")), 400},
		"no body":                        {posted("", ceID("1")), 400},
		"not JSON":                       {posted("<html>", ceID("1")), 400},
		"no CloudEvent":                  {posted(good("none"), "Content-Type: application/json"), 415},
		"no content type":                {posted(good("none")), 415},
		"another content type":           {posted(good("type"), strings.Replace(ceID("1"), "application/json", "image/png", 1)), 200},
		"a compressed body":              {posted("\x1f\x8b\x08\x00\x00\x00\x00\x00", ceID("1"), "Content-Encoding: gzip"), 400},
		"an id of 10 KiB":                {posted(good("id"), ceID(strings.Repeat("i", 10<<10))), 400},
		"an extension of 500 KiB":        {posted(good("extension"), ceID("1"), "Ce-Giant: "+strings.Repeat("x", 500<<10)), 200},
		"a header of 2 MiB":              {posted(good("header"), ceID("1"), "Ce-Giant: "+strings.Repeat("x", 2<<20)), 431},
		"NUL in a header":                {posted(good("header"), ceID("a\x00b")), 400},
		"not HTTP":                       {[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400},
		"PUT":                            {[]byte(head(http.MethodPut, ceID("1"), "Content-Length: 2") + "{}"), 405},
		"structured mode, garbage":       {posted(`{"specversion":{}}`, structuredMode), 400},
		"structured mode, deep":          {posted(structured("1", strings.Repeat("[", 1<<20)), structuredMode), 400},
		"a batch of 101":                 {posted("["+strings.Repeat(structured("1", good("batch"))+",", 100)+structured("1", good("batch"))+"]", batchMode), 413},
		"a batch of garbage":             {posted(`[1,"x",null,{},[[[]]],{"id":7}]`, batchMode), 400},
		"a batch of a million times [":   {posted(strings.Repeat("[", 1<<20), batchMode), 400},
		"a batch with one good event":    {posted("["+structured("1", good("batch"))+"]", batchMode), 200},
		"a batch that is no array":       {posted(`{}`, batchMode), 400},
		"a batch of 100,000 empty texts": {posted("["+strings.Repeat(`"",`, 100_000)+`""]`, batchMode), 413},
	}
}
