package telemetry

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
)

// The JSON encoding of OTLP is that of Protocol Buffers, except that ids are hexadecimal
// and enums are numbers. 64-bit integers are strings.

type (
	jsonKeyValue struct {
		Key   string    `json:"key"`
		Value jsonValue `json:"value"`
	}
	// jsonValue has one member, whose name is the kind of the value.
	jsonValue map[string]any

	jsonResource struct {
		Attributes []jsonKeyValue `json:"attributes,omitempty"`
	}
	jsonScope struct {
		Name       string         `json:"name,omitempty"`
		Version    string         `json:"version,omitempty"`
		Attributes []jsonKeyValue `json:"attributes,omitempty"`
	}
)

// double is a number for which JSON may have no form.
type double float64

// MarshalJSON writes infinities and NaN as strings, as Protocol Buffers do.
func (d double) MarshalJSON() ([]byte, error) {
	v := float64(d)
	switch {
	case math.IsNaN(v):
		return []byte(`"NaN"`), nil
	case math.IsInf(v, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(v, -1):
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(v)
}

func integer(v int64) string { return strconv.FormatInt(v, 10) }

func count(v uint64) string { return strconv.FormatUint(v, 10) }

// nanoseconds is a time in nanoseconds since 1970; it is zero for the zero time.
func nanoseconds(t time.Time) string { return integer(max(0, t.UnixNano())) }

func keyValues(all []attribute.KeyValue) []jsonKeyValue {
	var out []jsonKeyValue
	for _, a := range all {
		out = append(out, jsonKeyValue{string(a.Key), value(a.Value)})
	}
	return out
}

func value(v attribute.Value) jsonValue {
	switch v.Type() {
	case attribute.BOOL:
		return boolValue(v.AsBool())
	case attribute.INT64:
		return intValue(v.AsInt64())
	case attribute.FLOAT64:
		return floatValue(v.AsFloat64())
	case attribute.STRING:
		return stringValue(v.AsString())
	case attribute.BYTESLICE:
		return jsonValue{"bytesValue": v.AsByteSlice()} // encoding/json writes base64
	case attribute.BOOLSLICE:
		return array(v.AsBoolSlice(), boolValue)
	case attribute.INT64SLICE:
		return array(v.AsInt64Slice(), intValue)
	case attribute.FLOAT64SLICE:
		return array(v.AsFloat64Slice(), floatValue)
	case attribute.STRINGSLICE:
		return array(v.AsStringSlice(), stringValue)
	case attribute.SLICE:
		return array(v.AsSlice(), value)
	case attribute.MAP:
		return jsonValue{"kvlistValue": map[string]any{"values": keyValues(v.AsMap())}}
	}
	return jsonValue{} // the empty value
}

func boolValue(v bool) jsonValue     { return jsonValue{"boolValue": v} }
func intValue(v int64) jsonValue     { return jsonValue{"intValue": integer(v)} }
func floatValue(v float64) jsonValue { return jsonValue{"doubleValue": double(v)} }
func stringValue(v string) jsonValue { return jsonValue{"stringValue": v} }

func array[T any](all []T, one func(T) jsonValue) jsonValue {
	values := []jsonValue{}
	for _, v := range all {
		values = append(values, one(v))
	}
	return jsonValue{"arrayValue": map[string]any{"values": values}}
}

func resourceOf(r *resource.Resource) jsonResource {
	return jsonResource{keyValues(r.Attributes())}
}

func scopeOf(s instrumentation.Scope) jsonScope {
	return jsonScope{s.Name, s.Version, keyValues(s.Attributes.ToSlice())}
}
