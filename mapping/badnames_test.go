package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLabelsWithNamesThatKubernetesCouldNotGive(t *testing.T) {
	more, err := ParseTargetLabels("instance_pod=Pod")
	require.NoError(t, err)
	for reason, row := range map[string]struct {
		labels map[string]string
		want   []string
	}{
		"good names":                 {map[string]string{"pod": "api-0", "namespace": "shop", "node": "n1.example"}, nil},
		"a regular expression":       {map[string]string{"pod": "shop-.*", "namespace": "shop"}, []string{"pod"}},
		"a template without a value": {map[string]string{"exported_deployment": "<no value>", "namespace": "<no value>"}, []string{"exported_deployment", "namespace"}},
		"a namespace has no dots":    {map[string]string{"namespace": "a.b", "pod": "a.b"}, []string{"namespace"}},
		"a name from TARGET_LABELS":  {map[string]string{"instance_pod": "A B"}, []string{"instance_pod"}},
		"other labels, and none":     {map[string]string{"job": "A B", "instance": "10.0.0.1:9100", "pod": ""}, nil},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, Rules{Targets: Targets{Labels: more}}.BadNames(row.labels))
		})
	}
}
