package deadletters

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"onefire/function/receive"
)

// The keys of a ConfigMap that hold an event.
const (
	plainKey      = "event.json"
	compressedKey = "event.json.gz"
)

// encode writes an event as structured JSON that decodes to the same event. Its data is
// written as JSON if it is valid JSON, without the white space around it, and in base64
// otherwise: often an event is a dead letter because its data is invalid. encode fails if
// [unpack] could not read the result.
func encode(e event.Event) ([]byte, error) {
	plain := e.Clone()
	if kind := e.DataMediaType(); (kind == "" || strings.HasSuffix(kind, "json")) && json.Valid(e.Data()) {
		plain.DataEncoded = bytes.TrimSpace(plain.DataEncoded)
	}
	asBase64 := e.Clone()
	asBase64.Context = asBase64.Context.AsV1() // Version 0.3 marks base64 differently.
	asBase64.DataBase64 = true
	var problems []error
	for _, form := range []event.Event{plain, asBase64} {
		text, err := encodeForm(form)
		if err == nil {
			return text, nil
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("writing the event as JSON: %w", errors.Join(problems...))
}

// encodeForm writes an event as it is, and fails if another one would be read.
func encodeForm(form event.Event) ([]byte, error) {
	if !form.DataBase64 && !utf8.Valid(form.Data()) {
		return nil, errors.New("the data is not text")
	}
	text, _ := form.MarshalJSON() // Text that is incomplete is read as no event, or as another.
	if len(text) > maxEvent {     // Escapes can make six bytes of one.
		return nil, fmt.Errorf("%w: %d bytes of at most %d", errTooLarge, len(text), maxEvent)
	}
	back, err := decode(text)
	if err != nil {
		return nil, err
	}
	return text, differ(form, back)
}

// decode reads structured JSON.
func decode(text []byte) (event.Event, error) {
	if !json.Valid(text) {
		return event.Event{}, errors.New("it is not JSON")
	}
	return receive.Unmarshal(text)
}

// differ describes how two events differ.
func differ(a, b event.Event) error {
	attributes := func(e event.Event) map[string]string {
		all := map[string]string{
			"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(),
			"datacontenttype": e.DataContentType(), "dataschema": e.DataSchema(), "time": types.FormatTime(e.Time()),
		}
		for name := range e.Extensions() {
			all[name] = extension(e, name)
		}
		return all
	}
	ours, theirs := attributes(a), attributes(b)
	for name, value := range ours {
		if theirs[name] != value {
			return fmt.Errorf("its %s %q is read as %q", name, value, theirs[name])
		}
	}
	if len(ours) != len(theirs) || !bytes.Equal(a.Data(), b.Data()) {
		return errors.New("its data or its extensions change when it is read")
	}
	return nil
}

// pack puts an event into a ConfigMap and returns its size there. A small event is
// readable, a large one is compressed. An event that is not valid UTF-8 is compressed
// too, because the API server would change it.
func pack(text []byte, into *configMap) (size int) {
	if len(text) <= maxPlain && utf8.Valid(text) {
		into.Data = map[string]string{plainKey: string(text)}
		return len(text)
	}
	var small bytes.Buffer // Writing to it does not fail.
	w, _ := gzip.NewWriterLevel(&small, gzip.BestCompression)
	_, _ = w.Write(text)
	_ = w.Close()
	into.BinaryData = map[string][]byte{compressedKey: small.Bytes()}
	return small.Len()
}

// unpack returns the structured JSON of the event in a ConfigMap.
func unpack(c *configMap) ([]byte, error) {
	if text, ok := c.Data[plainKey]; ok {
		return []byte(text), nil
	}
	small, ok := c.BinaryData[compressedKey]
	if !ok {
		return nil, fmt.Errorf("it has neither %s nor %s", plainKey, compressedKey)
	}
	r, err := gzip.NewReader(bytes.NewReader(small))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", compressedKey, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxEvent+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", compressedKey, err)
	case len(text) > maxEvent:
		return nil, fmt.Errorf("the event is larger than %d bytes", maxEvent)
	}
	return text, nil
}
