package function

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

func TestOnlyAProperTraceparentIsPassedOn(t *testing.T) {
	const proper = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for reason, row := range map[string]struct {
		value any
		want  string
	}{
		"as the W3C writes it":       {proper, proper},
		"none":                       {nil, ""},
		"upper-case digits":          {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", ""},
		"something after it":         {proper + "-x", ""},
		"a line break in it":         {"00-0af7651916cd43dd8448eb211c80319c\nb7ad6b7169203331-01", ""},
		"a dash in place of a digit": {"00-0af7651916cd43dd8448eb211c80319--b7ad6b7169203331-01", ""},
		"a digit in place of a dash": {"00a0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""},
	} {
		t.Run(reason, func(t *testing.T) {
			e := event.New()
			if row.value != nil {
				e.SetExtension("traceparent", row.value)
			}
			require.Equal(t, row.want, traceparent(e))
		})
	}
}
