package function

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"onefire/audit"
	"onefire/function/receive"
	"onefire/mapping"
)

// answer makes the answer to an event: 200 if each alert is settled, and 503 otherwise,
// so that a redelivery finishes the event.
func answer(results []result) receive.Answer {
	var first error
	unsettled := 0
	for i := range results {
		r := &results[i]
		if errors.Is(r.err, errPanic) {
			return receive.Refuse(http.StatusInternalServerError, "internal error: see the log")
		}
		if r.reason == mapping.Unavailable {
			unsettled++
			if first == nil {
				first = r.err
			}
		}
	}
	if unsettled > 0 {
		return receive.Refuse(http.StatusServiceUnavailable, "%d of %d alerts are not settled: %v", unsettled, len(results), first)
	}
	return receive.OK()
}

// pointToSource makes the answer to a body that is not a CloudEvent. If the body holds
// alerts, the answer says where Alertmanager must send them.
func pointToSource(refusal receive.Answer, body []byte, now time.Time) receive.Answer {
	if refusal.Status != http.StatusUnsupportedMediaType {
		return refusal
	}
	if _, err := mapping.Parse(body, now); err != nil {
		return refusal
	}
	return receive.Refuse(refusal.Status, "%s. These are alerts: point Alertmanager's webhook at /alertmanager of onefire-source, which sends them here as CloudEvents", refusal.Reason)
}

// SummaryType is the type of the reply event with REPLY=summary. Its data is a [Summary].
const SummaryType = "onefire.summary.v1"

// Summary tells the outcome of each alert of an event. As long as the objects of these
// alerts exist, it is the same for every delivery of the event.
type Summary struct {
	Alerts []AlertSummary `json:"alerts"`
}

// AlertSummary tells the outcome of one alert.
type AlertSummary struct {
	Alertname   string           `json:"alertname"`
	Fingerprint string           `json:"fingerprint,omitempty"`
	Decision    mapping.Decision `json:"decision"`
	// Reason is the reason of the decision. Only a dry run has it, because a replay has
	// another reason than the first delivery.
	Reason string `json:"reason,omitempty"`
	// Object is the RemediationRequest, "namespace/name", of a new alert or a
	// duplicate, and Count its occurrence count with this alert.
	Object string `json:"object,omitempty"`
	Count  int32  `json:"count,omitempty"`
}

// summary makes the reply event.
func summary(e event.Event, results []result, reasons bool) *event.Event {
	var s Summary
	for i := range results {
		r := &results[i]
		line := AlertSummary{
			Alertname:   r.signal.Name,
			Fingerprint: r.signal.Fingerprint,
			Decision:    r.reason.Decision(),
		}
		if reasons {
			line.Reason = r.reason.String()
		}
		if d := line.Decision; d == mapping.New || d == mapping.Duplicate {
			line.Object, line.Count = r.signal.Namespace+"/"+r.name, r.count
		}
		s.Alerts = append(s.Alerts, line)
	}
	reply := event.New()
	reply.SetID(audit.EventID(e.Source(), e.ID(), "", SummaryType))
	reply.SetSource("onefire")
	reply.SetType(SummaryType)
	// Texts and numbers can always be encoded.
	body, _ := json.Marshal(s)
	_ = reply.SetData(event.ApplicationJSON, body)
	return &reply
}
