package receive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Unmarshal reads one CloudEvent in structured mode, which is a JSON object. The same
// text always gives the same event or the same error. [Validate] checks the event.
func Unmarshal(text []byte) (event.Event, error) {
	e := event.New()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return e, fmt.Errorf("it is not a JSON object: %w", err)
	}
	// A member that is null counts as missing, except for data.
	maps.DeleteFunc(members, func(name string, raw json.RawMessage) bool { return name != "data" && string(raw) == "null" })
	if members["specversion"] == nil {
		return e, errors.New("specversion: REQUIRED")
	}
	// The SDK must know the version before it reads the others. It collects the members
	// before the version in a map and iterates over that. So it named another one of several
	// mistakes each time, and took either of two names that differ only in case.
	names := []string{"specversion"}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !attributeName(name) && name != "data_base64" {
			return e, fmt.Errorf("%s: %w", name, errName)
		}
		if name != "specversion" {
			names = append(names, name)
		}
	}
	if err := textual(members); err != nil {
		return e, err
	}
	var ordered bytes.Buffer
	ordered.Grow(len(text))
	for i, name := range names {
		// The names are letters, digits and underscores, so they need no escapes.
		fmt.Fprintf(&ordered, "%c%q:", "{,"[min(i, 1)], name)
		ordered.Write(members[name])
	}
	ordered.WriteByte('}')
	if err := json.Unmarshal(ordered.Bytes(), &e); err != nil {
		return e, fmt.Errorf("reading the event: %w", err)
	}
	return e, nil
}

// textual checks that data in base64 is a string, and removes its escapes: some encoders
// write a slash as \/. The SDK removes the quotes without a check, panics if there are
// none, and knows no escapes.
func textual(members map[string]json.RawMessage) error {
	encoded := []string{"data_base64"}
	if string(members["specversion"]) != `"1.0"` && members["datacontentencoding"] != nil {
		encoded = append(encoded, "data")
	}
	for _, name := range encoded {
		raw := members[name]
		if raw == nil {
			continue
		}
		var text string
		if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
			return fmt.Errorf("%s: data in base64 is a text", name)
		}
		members[name], _ = json.Marshal(text) // Each string can be marshaled.
	}
	return nil
}

// Validate checks an event against the specification. It names all mistakes in a fixed
// order; the SDK's own text has a random one.
func Validate(e event.Event) error {
	err := e.Validate()
	var several event.ValidationError
	if !errors.As(err, &several) {
		return err //nolint:wrapcheck // The SDK knows no other kind.
	}
	var mistakes []string
	for _, attribute := range slices.Sorted(maps.Keys(several)) {
		mistakes = append(mistakes, fmt.Sprintf("%s: %v", attribute, several[attribute]))
	}
	return fmt.Errorf("not a valid CloudEvent: %s", strings.Join(mistakes, "; "))
}
