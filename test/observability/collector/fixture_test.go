package collector

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"onefire/config"
	"onefire/function/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receive starts a collector and returns it with its URL.
func receive(t *testing.T) (*Collector, string) {
	t.Helper()
	address := freeAddress(t)
	c, err := Start(t.Context(), address, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.WithoutCancel(t.Context()))) })
	return c, "http://" + address
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// settings are those of an environment, as the function loads it.
func settings(t require.TestingT, environment map[string]string) config.OTel {
	c, err := config.LoadDeadLetters(environment)
	require.NoError(t, err)
	return c.OTel
}

// ours starts telemetry that sends what the environment says.
func ours(t require.TestingT, environment map[string]string) *telemetry.Telemetry {
	all, err := telemetry.Start(context.Background(), telemetry.Options{Service: "onefire", Version: version, OTel: settings(t, environment)})
	require.NoError(t, err)
	return all
}

// value draws an attribute's value of any kind; within slices and maps, up to
// depth deep.
func value(depth int) *rapid.Generator[attribute.Value] {
	kinds := []*rapid.Generator[attribute.Value]{
		rapid.Map(rapid.Bool(), attribute.BoolValue),
		rapid.Map(rapid.Int64(), attribute.Int64Value),
		rapid.Map(rapid.Float64(), attribute.Float64Value),
		rapid.Map(rapid.String(), attribute.StringValue),
		rapid.Map(rapid.SliceOf(rapid.Byte()), attribute.ByteSliceValue),
		rapid.Map(rapid.SliceOf(rapid.Bool()), attribute.BoolSliceValue),
		rapid.Map(rapid.SliceOf(rapid.Int64()), attribute.Int64SliceValue),
		rapid.Map(rapid.SliceOf(rapid.Float64()), attribute.Float64SliceValue),
		rapid.Map(rapid.SliceOf(rapid.String()), attribute.StringSliceValue),
		rapid.Just(attribute.Value{}),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[attribute.Value] { return value(depth - 1) }), 0, 3),
				func(all []attribute.Value) attribute.Value { return attribute.SliceValue(all...) }),
			rapid.Map(keyValues(depth-1), func(all []attribute.KeyValue) attribute.Value { return attribute.MapValue(all...) }))
	}
	return rapid.OneOf(kinds...)
}

// keyValues draws attributes with different names.
func keyValues(depth int) *rapid.Generator[[]attribute.KeyValue] {
	one := rapid.Custom(func(t *rapid.T) attribute.KeyValue {
		return attribute.KeyValue{Key: attribute.Key(rapid.StringMatching(`[a-z][a-zé./_]{0,5}`).Draw(t, "key")), Value: value(depth).Draw(t, "value")}
	})
	return rapid.SliceOfNDistinct(one, 0, 4, func(a attribute.KeyValue) attribute.Key { return a.Key })
}
