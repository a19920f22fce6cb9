package dedup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"onefire/mapping"
)

// signal is what the first of all simulated alerts says.
var signal = signalOf("a")

// nextEvent comes after a crash, when all is quiet; an end may too.
const nextEvent = "next"

// isEnd tells whether an event says that alerts have ended. Such an event is the
// keys of events that say that they fire, each after a hyphen.
func isEnd(event string) bool { return strings.HasPrefix(event, "-") }

// labelsOf are the labels of the alert that a key is an occurrence of, or the end of
// one. Some differ in their names, some in their severities, one in neither; and
// some are alike. A 2 at the end is the same alert, later.
func labelsOf(key string) map[string]string {
	switch key = strings.TrimPrefix(key, "-"); {
	case strings.HasPrefix(key, "crowd"):
		return map[string]string{"alertname": key, "severity": "high"}
	case key == "b", key == "b2":
		return map[string]string{"alertname": "B", "severity": "high"}
	case key == "c":
		return map[string]string{"alertname": "A", "severity": "critical"}
	case key == "d":
		return map[string]string{"alertname": "A", "severity": "high", "container": "d"}
	case key == nextEvent:
		return map[string]string{"alertname": "B", "severity": "unknown"}
	}
	return map[string]string{"alertname": "A", "severity": "high"}
}

func alertOf(key string) alert {
	labels := labelsOf(key)
	return alert{mapping.LabelsID(labels), labels["alertname"], mapping.Severity(labels["severity"])}
}

// keysOf are the keys of an event, and the ends of one that names many.
func keysOf(event string) []string {
	if event != "-crowd" {
		return strings.Split(event, ",")
	}
	var ends []string
	for i := range MaxAlerts + 1 {
		ends = append(ends, fmt.Sprint("-crowd", i))
	}
	return ends
}

// saidAt is the time of an event. The event that arrives first is not always the
// older one.
func saidAt(key string) time.Time {
	switch key {
	case nextEvent:
		return epoch.Add(10 * time.Minute)
	case "a2", "b2":
		return epoch.Add(2 * time.Minute)
	case "-a2", "-b2":
		return epoch.Add(3 * time.Minute)
	}
	if isEnd(key) {
		return epoch.Add(time.Minute)
	}
	return epoch
}

// endedAt is when the alert of an end did end.
func endedAt(key string) time.Time { return saidAt(key).Add(-30 * time.Second) }

func signalOf(key string) mapping.Signal {
	a := alertOf(key)
	s := mapping.Signal{
		Fingerprint: digest("fingerprint"), Namespace: "ns", Name: a.name, Severity: a.severity, AlertID: a.id,
		Labels: labelsOf(key), FiringAt: epoch, SaidAt: saidAt(key),
	}
	if isEnd(key) {
		s.EndedAt = endedAt(key)
	}
	return s
}

func signalsOf(keys []string) map[string]mapping.Signal {
	all := map[string]mapping.Signal{}
	for _, key := range keys {
		all[key] = signalOf(key)
	}
	return all
}

// made makes an object of ours, or counts on the active one.
func made(s *store, keys ...string) (name string) {
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	if err != nil {
		panic(err)
	}
	o, err := d.Settle(context.Background(), signalOf(keys[0]), keys, signalsOf(keys))
	if err != nil {
		panic(err)
	}
	return o[0].Name
}
