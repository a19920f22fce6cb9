package mapping

import (
	"fmt"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// Matchers narrow which alerts become objects: those whose labels fit all of
// them. None fit every alert.
type Matchers labels.Matchers

// ParseMatchers reads matchers in Alertmanager's own syntax (the one of its
// routes since 0.27): team="sre",severity=~"critical|high", in braces or not. The
// empty string gives none.
func ParseMatchers(s string) (Matchers, error) {
	all, err := parse.Matchers(s)
	if err != nil {
		return nil, fmt.Errorf(`%q are no matchers of the form team="sre",severity=~"critical|high": %w`, s, err)
	}
	return Matchers(all), nil
}

// String is the form that [ParseMatchers] reads.
func (m Matchers) String() string {
	if len(m) == 0 {
		return ""
	}
	return labels.Matchers(m).String()
}

// match tells whether labels fit. A label that an alert does not have counts as
// an empty one, as in Alertmanager.
func (m Matchers) match(labels map[string]string) bool {
	for _, one := range m {
		if !one.Matches(labels[one.Name]) {
			return false
		}
	}
	return true
}
