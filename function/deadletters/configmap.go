package deadletters

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// managedBy marks the ConfigMaps of this store, and is the user agent of its calls.
	managedBy      = "onefire-deadletters"
	managedByLabel = "app.kubernetes.io/managed-by"
	// deadLetterLabel selects the dead letters among a namespace's ConfigMaps.
	deadLetterLabel = "onefire/dead-letter"
	namePrefix      = "dead-letter-"

	errorCodeLabel = "onefire/error-code"
	eventTypeLabel = "onefire/event-type"
	alertnameLabel = "onefire/alertname"
	severityLabel  = "onefire/severity"

	errorAnnotation       = "onefire/error"
	destinationAnnotation = "onefire/error-destination"
	sourceAnnotation      = "onefire/event-source"
	idAnnotation          = "onefire/event-id"
	timeAnnotation        = "onefire/event-time"
	receivedAnnotation    = "onefire/received-at"
	bytesAnnotation       = "onefire/bytes"
)

// Extensions in which Knative describes a delivery that failed.
const (
	errorExtensions      = "knativeerror" // the common beginning of their names
	errorCodeExtension   = errorExtensions + "code"
	errorDataExtension   = errorExtensions + "data"
	destinationExtension = errorExtensions + "dest"
)

// errTooLarge means that the event does not fit into a ConfigMap.
var errTooLarge = errors.New("the event is too large to be kept")

// configMapOf makes the ConfigMap of an event, and returns how many bytes the event takes
// in it.
func configMapOf(e event.Event, now time.Time) (c *configMap, size int64, err error) {
	text, err := encode(e)
	if err != nil {
		return nil, 0, err
	}
	c = &configMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: name(e)},
		// A dead letter is never changed, only deleted.
		Immutable: true,
	}
	n := pack(text, c)
	if n > maxKept {
		return nil, 0, fmt.Errorf("%w: %d bytes of at most %d, compressed", errTooLarge, n, maxKept)
	}
	code, reason := why(e)
	c.Labels = map[string]string{managedByLabel: managedBy, deadLetterLabel: "true", errorCodeLabel: code, eventTypeLabel: labelValue(e.Type())}
	c.Annotations = map[string]string{
		sourceAnnotation: sanitize(e.Source()), idAnnotation: sanitize(e.ID()),
		receivedAnnotation: now.UTC().Format(time.RFC3339), bytesAnnotation: strconv.Itoa(n), errorAnnotation: sanitize(code + ": " + reason),
	}
	for label, from := range map[string]string{alertnameLabel: "alertname", severityLabel: "severity"} {
		if value := labelValue(extension(e, from)); value != "" {
			c.Labels[label] = value
		}
	}
	if destination := extension(e, destinationExtension); destination != "" {
		c.Annotations[destinationAnnotation] = sanitize(destination)
	}
	if !e.Time().IsZero() {
		c.Annotations[timeAnnotation] = types.FormatTime(e.Time())
	}
	return c, int64(n), nil
}

// name is the name of an event's ConfigMap. It follows from the event's content, so it is
// the same for each delivery. Source and id should suffice, but some senders use only one
// id, so events with different data must have different names. White space in JSON does
// not count, because a change between binary and structured mode may change it.
func name(e event.Event) string {
	data := e.Data()
	var compact bytes.Buffer
	if json.Compact(&compact, data) == nil {
		data = compact.Bytes()
	}
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(e.Source()), []byte(e.ID()), []byte(e.Type()), data} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		sum.Write(length[:])
		sum.Write(part)
	}
	return namePrefix + hex.EncodeToString(sum.Sum(nil)[:16])
}

// why reads the reason of the failure from the Broker's extensions: the function's status
// and its text.
func why(e event.Event) (code, reason string) {
	code = extension(e, errorCodeExtension)
	// Without an answer the code is negative or missing, and what is no number counts as 0.
	if n, _ := strconv.Atoi(code); n < 100 || n > 999 {
		code = "none"
	}
	reason = extension(e, errorDataExtension)
	// The text may be cut off, and other Brokers may send it unencoded.
	if decoded, err := base64.StdEncoding.DecodeString(reason[:len(reason)/4*4]); err == nil && utf8.Valid(trimIncomplete(decoded)) {
		reason = string(trimIncomplete(decoded))
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		reason = "no reason was given"
	}
	return code, reason
}

// trimIncomplete removes an incomplete character at the end.
func trimIncomplete(text []byte) []byte {
	for i := range text {
		if !utf8.FullRune(text[i:]) {
			return text[:i]
		}
	}
	return text
}

// extension is an extension's value as text; empty if it is missing.
func extension(e event.Event, name string) string {
	text, _ := types.Format(e.Extensions()[name]) // With an error it is empty.
	return text
}

// sanitize makes a text safe to keep and to show on a terminal: short, valid UTF-8, without
// control characters.
func sanitize(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
}

// illegal is what a label's value cannot have, and _, which stands for it.
var illegal = regexp.MustCompile(`[^A-Za-z0-9.-]`)

// labelValue makes a valid label value of a text. A text that has to be changed gets a
// hash at its end, so that different texts stay different.
func labelValue(s string) string {
	if len(validation.IsValidLabelValue(s)) == 0 {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:4])
	legal := illegal.ReplaceAllString(s[:min(len(s), maxLabel-len(hash)-1)], "_")
	return strings.TrimLeft(legal+"-"+hash, "-_.")
}
