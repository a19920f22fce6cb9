package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/mapping"
)

// WebhookType is the CloudEvents type of an Alertmanager webhook.
const WebhookType = "prometheus.alertmanager.webhook.v4"

// pageSize is DataStorage's largest page.
const pageSize = 1000

// AuditEvent is an audit event as DataStorage gives it back.
type AuditEvent struct {
	EventID string `json:"event_id"`
	CEID    string `json:"ce_id"`
	mapping.AuditRequest
}

// Alert posts a file with an Alertmanager webhook to a running stack, and
// writes what came of it: the answer, the objects and the audit events.
func Alert(ctx context.Context, s Settings, file string, out io.Writer) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the webhook: %w", err)
	}
	before, err := AuditTrail(ctx, s.AuditURL(), nil)
	if err != nil {
		return fmt.Errorf("%w (is `make run` running?)", err)
	}
	began := time.Now()
	status, answer, err := Post(ctx, "http://"+s.FunctionAddr, uuid.NewString(), body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "POST %s to %s: %d in %d ms\n%s", file, s.FunctionAddr, status, time.Since(began).Milliseconds(), answer)
	after, err := AuditTrail(ctx, s.AuditURL(), nil)
	if err != nil {
		return err
	}
	return report(ctx, s, after[len(before):], out)
}

// Post posts data as one CloudEvent in binary mode.
func Post(ctx context.Context, to, id string, data []byte) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(data))
	if err != nil {
		return 0, "", fmt.Errorf("making the request: %w", err)
	}
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": WebhookType, "Ce-Source": "/local", "Ce-Id": id, "Content-Type": "application/json",
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("posting the event: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", fmt.Errorf("reading the answer: %w", err)
	}
	return resp.StatusCode, string(text), nil
}

// AuditTrail reads all audit events that match a query, oldest first.
func AuditTrail(ctx context.Context, from string, query url.Values) ([]AuditEvent, error) {
	var all []AuditEvent
	for {
		q := url.Values{"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(len(all))}}
		for k, v := range query {
			q[k] = v
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, from+"?"+q.Encode(), nil)
		if err != nil {
			return nil, fmt.Errorf("making the query: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, fmt.Errorf("asking DataStorage: %w", err)
		}
		var page struct {
			Data       []AuditEvent `json:"data"`
			Pagination struct {
				HasMore bool `json:"has_more"`
			} `json:"pagination"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("asking DataStorage: %d: %w", resp.StatusCode, err)
		}
		all = append(all, page.Data...)
		if !page.Pagination.HasMore {
			return all, nil
		}
	}
}

// report writes audit events and the objects that they are about.
func report(ctx context.Context, s Settings, events []AuditEvent, out io.Writer) error {
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	objects := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(objects, "\nREMEDIATIONREQUEST\tPHASE\tALERT\tSEVERITY\tTARGET\tCOUNT")
	seen := map[string]bool{}
	for _, e := range events {
		namespace, name, ok := strings.Cut(e.Data.RemediationRequest, "/")
		if !ok || seen[e.Data.RemediationRequest] {
			continue
		}
		seen[e.Data.RemediationRequest] = true
		o, err := client.Resource(dedup.Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading %s: %w", e.Data.RemediationRequest, err)
		}
		text := func(path ...string) string {
			v, found, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
			if !found {
				return "-"
			}
			return fmt.Sprint(v)
		}
		fmt.Fprintf(objects, "%s\t%s\t%s\t%s\t%s/%s\t%s\n", e.Data.RemediationRequest, text("status", "overallPhase"), text("spec", "signalName"),
			text("spec", "severity"), text("spec", "targetResource", "kind"), text("spec", "targetResource", "name"), text("status", "deduplication", "occurrenceCount"))
	}
	if err := objects.Flush(); err != nil {
		return fmt.Errorf("writing the objects: %w", err)
	}
	trail := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(trail, "\nAUDIT EVENT\tOUTCOME\tSTATUS\tCOUNT\tCORRELATION ID")
	for _, e := range events {
		fmt.Fprintf(trail, "%s\t%s\t%s\t%d\t%s\n", e.EventType, e.Outcome, e.Data.DeduplicationStatus, e.Data.OccurrenceCount, e.CorrelationID)
	}
	if err := trail.Flush(); err != nil {
		return fmt.Errorf("writing the audit events: %w", err)
	}
	return nil
}
