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

// first are the members that the SDK has to know before it reads the others.
// What it has read before the version it keeps in a map, and walks that: of
// several mistakes it named another one each time, and of two names that differ
// only in their case it took either.
var first = []string{"specversion", "datacontenttype", "datacontentencoding"}

// Unmarshal reads one CloudEvent in structured mode, which is a JSON object.
// Whether the event is valid [Validate] tells. The same text always gives the
// same event or the same error.
func Unmarshal(text []byte) (event.Event, error) {
	e := event.New()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return e, fmt.Errorf("it is not a JSON object: %w", err)
	}
	// A member that is null is not there; data may be null.
	maps.DeleteFunc(members, func(name string, raw json.RawMessage) bool { return name != "data" && string(raw) == "null" })
	names := slices.DeleteFunc(slices.Clone(first), func(name string) bool { return members[name] == nil })
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !attributeName(name) && name != "data_base64" {
			return e, fmt.Errorf("%s: %w", name, errName)
		}
		if !slices.Contains(first, name) {
			names = append(names, name)
		}
	}
	if err := textual(members); err != nil {
		return e, err
	}
	var ordered bytes.Buffer
	ordered.Grow(len(text))
	for i, name := range names {
		// The names are letters, digits and underscores: nothing has to be escaped.
		fmt.Fprintf(&ordered, "%c%q:", "{,"[min(i, 1)], name)
		ordered.Write(members[name])
	}
	if len(names) == 0 {
		ordered.WriteByte('{')
	}
	ordered.WriteByte('}')
	if err := json.Unmarshal(ordered.Bytes(), &e); err != nil {
		return e, fmt.Errorf("reading the event: %w", err)
	}
	return e, nil
}

// textual tells whether data in base64 is a text. The SDK takes off its quotes
// without looking, and panics where there are none.
func textual(members map[string]json.RawMessage) error {
	encoded := []string{"data_base64"}
	if members["datacontentencoding"] != nil {
		encoded = append(encoded, "data")
	}
	for _, name := range encoded {
		if raw := members[name]; raw != nil && raw[0] != '"' {
			return fmt.Errorf("%s: data in base64 is a text", name)
		}
	}
	return nil
}

// Validate tells whether an event is one that the specification knows. Of
// several mistakes it names all, in one order: the SDK's own text has another
// one each time.
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
