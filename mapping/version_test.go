package mapping

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fingerprintsOfVersion2 is the sum of the fingerprints of all stock rules and
// published alerts under the rules of this version.
const fingerprintsOfVersion2 = "e6db0dbf88b6fe3ce4770d54f756a6e1844eeb10a98c64d3c1a1229b94fd72aa"

// A change of the rules that moves a fingerprint is a new version, and stands in
// the changelog.
func TestAChangeOfFingerprintsIsANewVersion(t *testing.T) {
	all := sha256.New()
	rules := defaults()
	say := func(labels map[string]string) {
		if _, ignored := rules.Ignored(Alert{Labels: labels}); len(labels) > 0 && !ignored {
			fmt.Fprintln(all, signalOf(t, rules, labels).Fingerprint)
		}
	}
	for _, rule := range stockRules(t) {
		say(rule.Labels)
		say(rule.OtherFire)
	}
	files, err := filepath.Glob("testdata/targets/cases/*.json")
	require.NoError(t, err)
	for _, file := range slices.Sorted(slices.Values(files)) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if n, err := Parse(text, now); err == nil && !strings.HasSuffix(file, ".expected.json") {
			for _, a := range n.Alerts {
				say(a.Labels)
			}
		}
	}
	versions := map[int]string{2: fingerprintsOfVersion2}
	require.Equal(t, versions[TargetsVersion], fmt.Sprintf("%x", all.Sum(nil)),
		"some alert has another fingerprint: count TargetsVersion up, put the new hash here, and say in docs/changelog.md which alerts are meant")
	changelog, err := os.ReadFile("../docs/changelog.md")
	require.NoError(t, err)
	for version := range maps.Keys(versions) {
		require.Contains(t, string(changelog), fmt.Sprintf("Rules for targets, version %d", version))
	}
}

func FuzzParseTargetRules(f *testing.F) {
	f.Add(`{alertname=~"A.*"} kind=Certificate api_version=cert-manager.io/v1 name=$name namespace=$exported_namespace; {} kind=Unknown`, "rollout=argoproj.io/v1alpha1/Rollout,app=Pod,ns=namespace", `{"name":"a"}`)
	f.Add(`{`, "=", `{}`)
	f.Fuzz(func(t *testing.T, rules, names, labels string) {
		r, err := ParseTargetRules(rules)
		l, wrong := ParseTargetLabels(names)
		if err != nil || wrong != nil {
			return
		}
		again, err := ParseTargetRules(r.String())
		require.NoError(t, err, "what is printed can be read")
		require.Equal(t, r.String(), again.String())
		var values map[string]string
		if json.Unmarshal([]byte(labels), &values) != nil {
			return
		}
		s, _ := Rules{Namespace: "ops", Targets: Targets{Rules: r, Labels: l}}.Signal(Alert{Labels: values}, now)
		require.NoError(t, beyondLimits(s))
	})
}
