// Package client talks to a function and to DataStorage as their users do.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"onefire/mapping"
)

// WebhookType is the CloudEvents type of an Alertmanager webhook.
const WebhookType = "prometheus.alertmanager.webhook.v4"

// Source is the CloudEvents source of all that is posted.
const Source = "/local"

// pageSize is DataStorage's largest page.
const pageSize = 1000

// auditIDAnnotation is the entry of signal_annotations that holds Onefire's own id
// of an audit event.
const auditIDAnnotation = "onefire/audit-id"

// AuditEvent is an audit event as DataStorage gives it back.
type AuditEvent struct {
	EventID string `json:"event_id"`
	// AuditID is Onefire's id of it. It is empty if the event has none.
	AuditID string `json:"-"`
	mapping.AuditRequest
}

// Message is a request to a function: one CloudEvent, or a batch.
type Message struct {
	header map[string]string
	body   []byte
}

// Binary is data as one CloudEvent in binary mode.
func Binary(id string, data []byte) Message {
	return Message{map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": WebhookType, "Ce-Source": Source, "Ce-Id": id, "Content-Type": "application/json",
	}, data}
}

// At gives a CloudEvent in binary mode its time.
func (m Message) At(t time.Time) Message {
	m.header["Ce-Time"] = t.UTC().Format(time.RFC3339Nano)
	return m
}

// Webhook is a request as Alertmanager makes it, for a source.
func Webhook(body []byte) Message {
	return Message{map[string]string{"Content-Type": "application/json"}, body}
}

// Batch is a batch of CloudEvents; data[i] is the JSON of the event ids[i].
func Batch(ids []string, data [][]byte) (Message, error) {
	events := make([]event.Event, len(ids))
	for i, id := range ids {
		events[i] = event.New()
		events[i].SetID(id)
		events[i].SetSource(Source)
		events[i].SetType(WebhookType)
		if err := events[i].SetData(event.ApplicationJSON, data[i]); err != nil {
			return Message{}, fmt.Errorf("making a batch: %w", err)
		}
	}
	body, err := json.Marshal(events)
	if err != nil {
		return Message{}, fmt.Errorf("making a batch: %w", err)
	}
	return Message{map[string]string{"Content-Type": event.ApplicationCloudEventsBatchJSON}, body}, nil
}

// Post posts a message.
func (m Message) Post(ctx context.Context, by *http.Client, to string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(m.body))
	if err != nil {
		return 0, "", fmt.Errorf("making the request: %w", err)
	}
	for name, value := range m.header {
		req.Header.Set(name, value)
	}
	resp, err := by.Do(req)
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

// Post posts data as one CloudEvent in binary mode.
func Post(ctx context.Context, to, id string, data []byte) (status int, answer string, err error) {
	return Binary(id, data).Post(ctx, http.DefaultClient, to)
}

// auditPage is a page of audit events.
type auditPage struct {
	Data       []AuditEvent `json:"data"`
	Pagination struct {
		HasMore bool `json:"has_more"`
	} `json:"pagination"`
}

// AuditTrail reads all of a gateway's audit events that match a query, oldest
// first.
func AuditTrail(ctx context.Context, from string, query url.Values) ([]AuditEvent, error) {
	var all []AuditEvent
	seen := map[string]bool{}
	for offset := 0; ; {
		q := url.Values{"event_category": {"gateway"}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)}}
		for k, v := range query {
			q[k] = v
		}
		page, err := askAudit(ctx, from+"?"+q.Encode())
		if err != nil {
			return nil, err
		}
		for _, e := range page.Data {
			// DataStorage gives the newest first. An event that is stored between two
			// pages moves the others on, and one of them then comes twice.
			if !seen[e.EventID] {
				seen[e.EventID] = true
				e.AuditID = e.Data.SignalAnnotations[auditIDAnnotation]
				all = append(all, e)
			}
		}
		offset += len(page.Data)
		if !page.Pagination.HasMore {
			slices.Reverse(all)
			return all, nil
		}
	}
}

// askAudit asks DataStorage for a page, and again if it asks too often.
func askAudit(ctx context.Context, from string) (auditPage, error) {
	var page auditPage
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
		if err != nil {
			return page, fmt.Errorf("making the query: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return page, fmt.Errorf("asking DataStorage: %w", err)
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusTooManyRequests:
			seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
			select {
			case <-time.After(time.Duration(max(seconds, 1)) * time.Second):
			case <-ctx.Done():
				return page, fmt.Errorf("asking DataStorage: %w", ctx.Err())
			}
		case resp.StatusCode != http.StatusOK:
			return page, fmt.Errorf("asking DataStorage: %s", resp.Status)
		case err != nil:
			return page, fmt.Errorf("reading DataStorage's answer: %w", err)
		default:
			return page, nil
		}
	}
}
