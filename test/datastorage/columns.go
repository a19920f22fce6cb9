package datastorage

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// fits tells whether PostgreSQL takes a row into the table. The OpenAPI document
// allows more than the columns hold, and JSON more than jsonb does.
func (e *row) fits() error {
	for column, c := range map[string]struct {
		value string
		most  int
	}{
		"event_version": {e.Version, 10}, "event_type": {e.EventType, 100}, "event_category": {e.Category, 50},
		"event_action": {e.Action, 50}, "event_outcome": {e.Outcome, 20}, "actor_type": {e.ActorType, 50}, "actor_id": {e.ActorID, 255},
		"resource_type": {e.ResourceType, 100}, "resource_id": {e.ResourceID, 255}, "correlation_id": {e.CorrelationID, 255},
		"namespace": {e.Namespace, 253}, "cluster_id": {e.ClusterID, 255}, "severity": {e.Severity, 20}, "error_code": {e.ErrorCode, 50},
	} {
		if utf8.RuneCountInString(c.value) > c.most {
			return fmt.Errorf("column %s holds %d characters", column, c.most)
		}
		if strings.ContainsRune(c.value, 0) {
			return fmt.Errorf("column %s cannot hold a NUL", column)
		}
	}
	if _, err := netip.ParseAddr(e.ActorIP); e.ActorIP != "" && err != nil {
		return fmt.Errorf("column actor_ip: %w", err)
	}
	if hasNUL(e.Data) {
		return errors.New("column event_data cannot hold a NUL")
	}
	return nil
}

// queueable tells whether the queue takes a row. It checks what nobody checks if
// the table takes it.
func (e *row) queueable() error {
	if e.ActorType == "" || e.ActorID == "" || e.ResourceType == "" || e.ResourceID == "" || e.RetentionDays <= 0 {
		return errors.New("the queue takes no event without actor, resource or retention")
	}
	return nil
}

// hasNUL tells whether a text in decoded JSON has a NUL.
func hasNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		for _, e := range v {
			if hasNUL(e) {
				return true
			}
		}
	case map[string]any:
		for k, e := range v {
			if strings.ContainsRune(k, 0) || hasNUL(e) {
				return true
			}
		}
	}
	return false
}
