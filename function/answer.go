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

// answer makes the answer of what became of the alerts: 200 when each is settled, else
// 503, and the redelivery finishes it.
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

// pointToSource makes the answer to what is no CloudEvent. If it holds alerts, the
// answer says where an Alertmanager is to send them.
func pointToSource(refusal receive.Answer, body []byte, now time.Time) receive.Answer {
	if refusal.Status != http.StatusUnsupportedMediaType {
		return refusal
	}
	if _, err := mapping.Parse(body, now); err != nil {
		return refusal
	}
	return receive.Refuse(refusal.Status, "%s. These are alerts: point Alertmanager's webhook at /alertmanager of onefire-source, which sends them here as CloudEvents", refusal.Reason)
}

// SummaryType is the type of the reply event that REPLY=summary asks for. Its
// data is a [Summary].
const SummaryType = "onefire.summary.v1"

// Summary says what became of each alert of an event. It is the same for every
// delivery of the event while the objects that the event touched are there.
type Summary struct {
	Alerts []AlertSummary `json:"alerts"`
}

// AlertSummary says what became of one alert.
type AlertSummary struct {
	Alertname   string           `json:"alertname"`
	Fingerprint string           `json:"fingerprint,omitempty"`
	Decision    mapping.Decision `json:"decision"`
	// Reason is why; only a dry run has it, because a replay has another one.
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
	// Marshalling texts and numbers cannot fail.
	body, _ := json.Marshal(s)
	_ = reply.SetData(event.ApplicationJSON, body)
	return &reply
}
