package config

import "onefire/mapping"

// Rules are the configured part of the mapping.
func (c Config) Rules() mapping.Rules {
	return mapping.Rules{
		Fingerprint:      c.Fingerprint,
		Severity:         c.Severity,
		Severities:       c.Severities,
		Placement:        c.Placement,
		Namespace:        c.Namespace,
		IgnoreAlerts:     c.IgnoreAlerts,
		IgnoreSeverities: c.IgnoreSeverities,
		Matchers:         c.Matchers,
		Schema:           c.AuditSchema,
		Targets:          mapping.Targets{Rules: c.TargetRules, Labels: c.TargetLabels, Ignored: c.IdentityIgnore},
		ClusterLabel:     c.ClusterLabel,
		ClusterName:      c.ClusterName,
		MaxEventAge:      c.MaxEventAge,
	}
}
