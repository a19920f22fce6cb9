package mapping

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// stockRule is an alert of a stock install of Prometheus, and the object that it
// is about.
type stockRule struct {
	Install string            `json:"install"`
	Rule    string            `json:"rule"`
	Labels  map[string]string `json:"labels"`
	Want    struct {
		Kind, Name, Namespace string
		// Filtered alerts become no object by default.
		Filtered bool
		Note     string
	} `json:"want"`
	// OtherFire is an alert of the same rule on something else, and SameFire are
	// those on the same thing after something around it changed.
	OtherFire map[string]string `json:"other_fire"`
	SameFire  []struct {
		What   string            `json:"what"`
		Labels map[string]string `json:"labels"`
	} `json:"same_fire"`
}

func stockRules(t *testing.T) (all []stockRule) {
	t.Helper()
	b, err := os.ReadFile("testdata/targets/stock-rules.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &all))
	require.Len(t, all, 276)
	return all
}

// defaults are the rules without configuration.
func defaults() Rules {
	return Rules{Namespace: "onefire", IgnoreAlerts: []string{"Watchdog", "InfoInhibitor"}, IgnoreSeverities: []string{"none"}, ClusterLabel: "cluster"}
}

// Each alert rule of the two usual installs is aimed at what burns: two fires have
// two fingerprints, and one fire keeps its fingerprint when the exporter is
// replaced or a volume moves.
func TestStockRules(t *testing.T) {
	rules := defaults()
	for _, row := range stockRules(t) {
		name := fmt.Sprintf("%s/%s %s", row.Install, row.Rule, row.Labels["severity"]+row.Labels["long"])
		t.Run(name, func(t *testing.T) {
			if _, filtered := rules.Ignored(Alert{Labels: row.Labels}); row.Want.Filtered {
				require.True(t, filtered)
				return
			}
			s := signalOf(t, rules, row.Labels)
			switch {
			case row.Want.Kind == KindUnknown:
				require.Equal(t, Target{Kind: KindUnknown, Name: s.Target.Name, Namespace: row.Want.Namespace}, s.Target)
				require.Empty(t, s.Chosen)
			case row.Want.Name == "": // The labels do not name the node.
				require.Equal(t, KindUnknown, s.Target.Kind, "the target")
				require.Equal(t, Target{"v1", "Pod", row.Labels["pod"], row.Labels["namespace"]}, s.Host, "runs on the node")
			default:
				require.Equal(t, Target{kinds[row.Want.Kind].apiVersion, row.Want.Kind, row.Want.Name, row.Want.Namespace}, s.Target)
				require.NotEmpty(t, s.Chosen)
			}
			if row.OtherFire != nil {
				require.NotEqual(t, s.Fingerprint, signalOf(t, rules, row.OtherFire).Fingerprint, "another fire would be counted as this one")
			}
			for _, same := range row.SameFire {
				require.Equal(t, s.Fingerprint, signalOf(t, rules, same.Labels).Fingerprint, "the same fire would have a second request: %s", same.What)
			}
		})
	}
}
