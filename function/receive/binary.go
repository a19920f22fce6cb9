package receive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// headerPrefix begins the headers that hold an event's attributes.
const headerPrefix = "Ce-"

// versions know the header of each attribute, by version.
var versions = spec.WithPrefixMatchExact(func(attribute string) string {
	if attribute == "datacontenttype" {
		return "Content-Type"
	}
	return textproto.CanonicalMIMEHeaderKey(headerPrefix + attribute)
}, headerPrefix)

// ordered is a message whose headers are read in a fixed order, the version first.
//
// The SDK iterates over the header map and learns the version on the way, and its result
// depends on that. So it refused the same event of version 0.3 only sometimes, and of
// several mistakes it named another one each time.
type ordered struct {
	*cehttp.Message
	header http.Header
}

// ReadBinary passes the attributes, the extensions and the data to an encoder.
func (m ordered) ReadBinary(_ context.Context, encoder binding.BinaryWriter) error {
	version := versions.Version(m.header.Get(versions.PrefixedSpecVersionName()))
	if version == nil {
		return binding.ErrNotBinary
	}
	if err := encoder.SetAttribute(version.AttributeFromKind(spec.SpecVersion), version.String()); err != nil {
		return fmt.Errorf("specversion: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(m.header)) {
		value := m.header.Get(key)
		attribute := version.Attribute(key)
		name, extension := strings.CutPrefix(strings.ToLower(key), strings.ToLower(headerPrefix))
		var err error
		switch {
		case attribute != nil:
			err = encoder.SetAttribute(attribute, value)
		case !extension:
			continue
		case !attributeName(name):
			return fmt.Errorf("%s%s: %w", strings.ToLower(headerPrefix), name, errName)
		default:
			err = encoder.SetExtension(name, value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(key), err)
		}
	}
	return encoder.SetData(m.BodyReader)
}

var errName = errors.New("the name of an attribute has lower-case letters and digits only")

// attributeName checks a name by the rule of the CloudEvents specification.
func attributeName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
