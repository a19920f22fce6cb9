package verify

import (
	"net/url"
	"testing"

	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	onefire "onefire/config"
)

// Alertmanager's own loader takes the snippet, and what is in it fits the source.
func TestAlertmanagerTakesItsSnippet(t *testing.T) {
	c, err := config.LoadFile("../alertmanager.yml")
	require.NoError(t, err)
	all, err := build(manifests(t))
	require.NoError(t, err)
	running, err := pods(all)
	require.NoError(t, err)

	source, err := onefire.LoadSource(environment(all, running["onefire-source"]))
	require.NoError(t, err)
	require.Len(t, c.Route.Routes, 2)
	for _, route := range c.Route.Routes {
		require.Equal(t, "onefire", route.Receiver)
		require.True(t, route.Continue, "whoever was called before is called still")
		require.NotNil(t, route.GroupInterval)
		require.GreaterOrEqual(t, int64(*route.GroupInterval), 2*int64(source.Window), "a repeat must not look like a retry")
		require.GreaterOrEqual(t, int64(*route.GroupInterval), int64(source.DeliveryTimeout), "Alertmanager waits as long as the source")
	}
	for alertname, want := range map[string][]bool{"Watchdog": {true, false}, "DiskFull": {false, true}} {
		for i, route := range c.Route.Routes {
			require.Equal(t, want[i], labels.Matchers(route.Matchers).Matches(model.LabelSet{"alertname": model.LabelValue(alertname)}),
				"each alert is sent once")
		}
	}

	var receiver config.Receiver
	for _, r := range c.Receivers {
		if r.Name == "onefire" {
			receiver = r
		}
	}
	require.Len(t, receiver.WebhookConfigs, 1)
	hook := receiver.WebhookConfigs[0]
	require.True(t, hook.SendResolved(), "the source says when an alert ends")
	require.Zero(t, hook.MaxAlerts, "what is cut off is lost")
	address, err := url.Parse(string(hook.URL))
	require.NoError(t, err)
	service, ok := named[*corev1.Service](all, "onefire-source")
	require.True(t, ok)
	require.Equal(t, service.Name+"."+service.Namespace, address.Host, "the port is the Service's 80")
	require.Equal(t, "http", address.Scheme)
	require.Equal(t, "/alertmanager", address.Path)
}
