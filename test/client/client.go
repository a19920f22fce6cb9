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
	"strconv"

	"github.com/cloudevents/sdk-go/v2/event"

	"onefire/mapping"
)

// WebhookType is the CloudEvents type of an Alertmanager webhook.
const WebhookType = "prometheus.alertmanager.webhook.v4"

// Source is the CloudEvents source of all that is posted.
const Source = "/local"

// pageSize is DataStorage's largest page.
const pageSize = 1000

// AuditEvent is an audit event as DataStorage gives it back.
type AuditEvent struct {
	EventID string `json:"event_id"`
	CEID    string `json:"ce_id"`
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
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("asking DataStorage: %s", resp.Status)
		}
		if err != nil {
			return nil, fmt.Errorf("reading DataStorage's answer: %w", err)
		}
		all = append(all, page.Data...)
		if !page.Pagination.HasMore {
			return all, nil
		}
	}
}
