package config

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
)

// Selector is a label selector in Kubernetes' syntax. The zero Selector is none.
type Selector struct{ labels.Selector }

// String is the form that can be read again; empty for none.
func (s Selector) String() string {
	if s.Selector == nil {
		return ""
	}
	return s.Selector.String()
}

func parseSelector(text string) (any, error) {
	s, err := labels.Parse(text)
	if err == nil && s.Empty() {
		err = errors.New("it selects everything: leave SCOPE out instead")
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not a label selector of the form key=value,other!=value: %w", text, err)
	}
	return Selector{s}, nil
}
