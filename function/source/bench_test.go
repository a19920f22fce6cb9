package source

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkWebhook posts webhooks, 8 at once for each CPU, to a source whose
// sink answers 202; all three are in this process. No two webhooks have an alert
// in common, so each alert is an event that is sent. An operation is a webhook.
func BenchmarkWebhook(b *testing.B) {
	for _, alerts := range []int{1, 100} {
		b.Run(fmt.Sprintf("alerts=%d", alerts), func(b *testing.B) {
			var taken atomic.Int64
			sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				taken.Add(1)
				w.WriteHeader(http.StatusAccepted)
			}))
			defer sink.Close()
			c := settings(sink.URL)
			c.LogLevel = 0
			s, err := New(b.Context(), c, io.Discard)
			require.NoError(b, err)
			defer s.sink.client.Close()
			web := httptest.NewServer(s.server.Handler)
			defer web.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()

			var number atomic.Int64
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(each *testing.PB) {
				for each.Next() {
					n, all := number.Add(1), make([]string, alerts)
					for i := range all {
						all[i] = firing(0, "alertname=A", "namespace=shop", fmt.Sprintf("pod=shop-%d-%d", n, i))
					}
					resp, err := client.Post(web.URL+"/alertmanager", "application/json", strings.NewReader(hook(all...)))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						b.Errorf("answered %d", resp.StatusCode)
						return
					}
				}
			})
			require.Equal(b, int64(b.N*alerts), taken.Load())
			perSecond := func(n int64) float64 { return float64(n) / b.Elapsed().Seconds() }
			b.ReportMetric(perSecond(int64(b.N)), "webhooks/s")
			b.ReportMetric(perSecond(taken.Load()), "events/s")
		})
	}
}
