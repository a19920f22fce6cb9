package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// wrong has a wrong value for each variable that can have one, and what the
// message must say beside its name.
var wrong = map[string]struct{ value, message string }{
	"LISTEN_ADDRESS":        {"8080", `"8080" is not host:port`},
	"METRICS_ADDRESS":       {":90900", `":90900" is not host:port`},
	"REMEDIATION_PLACEMENT": {"nearby", `"nearby" is not one of ["fixed" "signal"]`},
	"REMEDIATION_NAMESPACE": {"Not_A_Name", `"Not_A_Name" is not a namespace name`},
	"FINGERPRINT":           {"labels", `"labels" is not one of ["alert" "resource"]`},
	"TARGET":                {"pod", `"pod" is not one of ["labels" "owner"]`},
	"TARGETS":               {`{team="sre"} kind=Pod`, `entry 1: it has no name`},
	"TARGET_LABELS":         {"rollout=Rollout", `"rollout=Rollout": a kind that is not built in is written group/version/Kind`},
	"SEVERITY":              {"label", `"label" is not one of ["map" "raw"]`},
	"SEVERITY_MAP":          {"page=urgent", `"urgent" is not a severity`},
	"SCOPE":                 {"managed true", `"managed true" is not a label selector`},
	"HISTORY_LIMIT":         {"-1", `-1 is negative`},
	"MAX_EVENT_AGE":         {"10m", `10m0s is not between 1h0m0s and 87600h0m0s, and not 0`},
	"BRAKE":                 {"On", `"On" is no name of a ConfigMap, and not none`},
	"MATCHERS":              {"team", `"team" are no matchers of the form`},
	"AUDIT_SINK":            {"datastorage:8080", `"datastorage:8080" is not an http or https URL`},
	"AUDIT_SCHEMA":          {"2027-01", `"2027-01" is not one of ["2026-01" "2026-08"]`},
	"AUDIT_MODE":            {"optional", `"optional" is not one of ["required" "best-effort"]`},
	"AUDIT_TOKEN_FILE":      {"/nonexistent/token", `open /nonexistent/token`},
	"AUDIT_CA_FILE":         {"/nonexistent/ca.crt", `open /nonexistent/ca.crt`},
	"K_CE_OVERRIDES":        {"team=sre", `not JSON of the form {"extensions":{"name":"value"}}`},
	"KUBERNETES_EVENTS":     {"true", `"true" is not one of ["on" "off"]`},
	"OIDC_SUBJECTS":         {"system:serviceaccount:a:b", `needs OIDC_AUDIENCE`},
	"REPLY":                 {"full", `"full" is not one of ["none" "summary"]`},
	"LOG_LEVEL":             {"loud", `unknown name`},
}

// problems are the parts of a configuration error.
func problems(t require.TestingT, err error) []string {
	require.Error(t, err)
	all, ok := strings.CutPrefix(err.Error(), "wrong configuration: ")
	require.True(t, ok, "%v", err)
	return strings.Split(all, "; ")
}

func TestAWrongVariableIsNamed(t *testing.T) {
	for name, row := range wrong {
		t.Run(name, func(t *testing.T) {
			c, err := Load(minimal(map[string]string{name: row.value}))
			require.Zero(t, c)
			got := problems(t, err)
			require.Len(t, got, 1)
			require.True(t, strings.HasPrefix(got[0], name), "%q begins with the name", got[0])
			require.Contains(t, got[0], row.message)
		})
	}
}

func TestOneMessageNamesEveryWrongVariable(t *testing.T) {
	environment := map[string]string{}
	for name, row := range wrong {
		environment[name] = row.value
	}
	c, err := Load(environment)
	require.Zero(t, c)
	got := problems(t, err)
	require.Len(t, got, len(wrong))
	require.True(t, slices.IsSorted(got), "the same mistakes give the same message")
	for i, name := range slices.Sorted(maps.Keys(wrong)) {
		require.True(t, strings.HasPrefix(got[i], name), "%q begins with %s", got[i], name)
	}
}

func TestExactlyTheWrongVariablesAreNamed(t *testing.T) {
	names := slices.Sorted(maps.Keys(wrong))
	rapid.Check(t, func(t *rapid.T) {
		environment := minimal(nil)
		chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, len(names), rapid.ID).Draw(t, "wrong variables")
		for _, name := range chosen {
			environment[name] = wrong[name].value
		}
		_, err := Load(environment)
		got := problems(t, err)
		slices.Sort(chosen)
		require.Len(t, got, len(chosen))
		for i, name := range chosen {
			require.True(t, strings.HasPrefix(got[i], name), "%q begins with %s", got[i], name)
		}
	})
}

func TestAMissingSinkIsNamed(t *testing.T) {
	for reason, environment := range map[string]map[string]string{
		"unset": {},
		"empty": {"AUDIT_SINK": "", "K_SINK": ""},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := Load(environment)
			got := problems(t, err)
			require.Len(t, got, 1)
			require.Contains(t, got[0], "AUDIT_SINK")
			require.Contains(t, got[0], "K_SINK", "the other way to say it")
		})
	}
}

func TestWrongSinks(t *testing.T) {
	for reason, value := range map[string]string{
		"no scheme":        "datastorage/api",
		"another scheme":   "ftp://datastorage/",
		"no host":          "http:///api",
		"a path alone":     "/api/v1/audit/events",
		"no URL at all":    "http://data storage/",
		"a broken escape":  "http://datastorage/%zz",
		"a scheme and all": "https:",
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := Load(map[string]string{"AUDIT_SINK": value})
			require.ErrorContains(t, err, "is not an http or https URL")
			require.Len(t, problems(t, err), 1)
		})
	}
}

func TestUnreadableFilesStopTheStart(t *testing.T) {
	file := readable(t)
	for _, name := range []string{"AUDIT_TOKEN_FILE", "AUDIT_CA_FILE"} {
		for reason, path := range map[string]string{
			"absent":                     filepath.Join(t.TempDir(), "absent"),
			"below what is no directory": filepath.Join(file, "token"),
		} {
			t.Run(name+" "+reason, func(t *testing.T) {
				_, err := Load(minimal(map[string]string{name: path}))
				require.ErrorContains(t, err, name+": open "+path)
			})
		}
	}
}

func TestWrongOverrides(t *testing.T) {
	for reason, row := range map[string]struct {
		value string
		want  []string
	}{
		"no JSON":                   {`team=sre`, []string{"not JSON of the form"}},
		"an array":                  {`[]`, []string{"not JSON of the form"}},
		"a value that is no text":   {`{"extensions":{"team":1}}`, []string{"not JSON of the form"}},
		"more after it":             {`{"extensions":{}} {}`, []string{"not JSON of the form"}},
		"an upper-case name":        {`{"extensions":{"Team":"sre"}}`, []string{`"Team" is not a CloudEvents extension name`}},
		"a name with a dash":        {`{"extensions":{"my-team":"sre"}}`, []string{`"my-team" is not a CloudEvents extension name`}},
		"an empty name":             {`{"extensions":{"":"sre"}}`, []string{`"" is not a CloudEvents extension name`}},
		"a letter that is no ASCII": {`{"extensions":{"équipe":"sre"}}`, []string{`"équipe" is not a CloudEvents extension name`}},
		"each wrong name is named":  {`{"extensions":{"B_":"","a":"","A_":""}}`, []string{`"A_" is no`, `"B_" is no`}},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := Load(minimal(map[string]string{"K_CE_OVERRIDES": row.value}))
			got := problems(t, err)
			require.Len(t, got, len(row.want))
			for i, want := range row.want {
				require.Contains(t, got[i], "K_CE_OVERRIDES: ")
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestTheVariableThatIsWrongIsNamed(t *testing.T) {
	sink := map[string]string{"AUDIT_SINK": "http://sink"}
	for reason, row := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"a port that is no number":                {map[string]string{"PORT": "abc"}, "PORT: "},
		"a port beyond the last":                  {map[string]string{"PORT": "65536"}, "PORT: "},
		"an address without a numeric port":       {map[string]string{"LISTEN_ADDRESS": "localhost:nope"}, "LISTEN_ADDRESS: "},
		"a sink that came from K_SINK":            {map[string]string{"AUDIT_SINK": "", "K_SINK": "ftp://x"}, "K_SINK: "},
		"a namespace that came from the pod":      {map[string]string{"POD_NAMESPACE": "Bad_NS"}, "POD_NAMESPACE: "},
		"a kubeconfig that is not there":          {map[string]string{"KUBECONFIG": "/nowhere/config"}, "KUBECONFIG: "},
		"a folder where a token should be":        {map[string]string{"AUDIT_TOKEN_FILE": t.TempDir()}, "AUDIT_TOKEN_FILE: "},
		"an override of an event's own id":        {map[string]string{"K_CE_OVERRIDES": `{"extensions":{"id":"x"}}`}, "K_CE_OVERRIDES: "},
		"an override of what redelivery rests on": {map[string]string{"K_CE_OVERRIDES": `{"extensions":{"causationid":"x"}}`}, "K_CE_OVERRIDES: "},
	} {
		t.Run(reason, func(t *testing.T) {
			environment := maps.Clone(sink)
			maps.Copy(environment, row.environment)
			_, err := Load(environment)
			require.ErrorContains(t, err, "wrong configuration: "+row.want)
		})
	}
}

func TestRawSeveritiesDoNotGoWithWhatMapsOrListsThem(t *testing.T) {
	for reason, row := range map[string]struct {
		environment map[string]string
		want        []string
	}{
		"a map": {map[string]string{"SEVERITY_MAP": "page=critical"},
			[]string{`SEVERITY_MAP: "page=critical" has no effect with SEVERITY=raw`}},
		"the schema that lists five severities": {map[string]string{"AUDIT_SCHEMA": "2026-01"},
			[]string{`SEVERITY: "raw" needs AUDIT_SCHEMA=2026-08: 2026-01 accepts critical`}},
		"both": {map[string]string{"SEVERITY_MAP": "page=critical", "AUDIT_SCHEMA": "2026-01"},
			[]string{`SEVERITY: "raw" needs`, `SEVERITY_MAP: "page=critical" has no effect`}},
		"a map without an entry": {map[string]string{"SEVERITY_MAP": " ,"}, nil},
		"ignored severities":     {map[string]string{"IGNORE_SEVERITIES": "none,info"}, nil},
	} {
		t.Run(reason, func(t *testing.T) {
			environment := minimal(map[string]string{"SEVERITY": "raw"})
			maps.Copy(environment, row.environment)
			_, err := Load(environment)
			if row.want == nil {
				require.NoError(t, err)
				return
			}
			got := problems(t, err)
			require.Len(t, got, len(row.want))
			for i, want := range row.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestEmptyEntriesOfListsAreDropped(t *testing.T) {
	c, err := Load(map[string]string{"AUDIT_SINK": "http://sink", "IGNORE_ALERTS": "a,, b ,", "IGNORE_SEVERITIES": " ,None"})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, c.IgnoreAlerts)
	require.Equal(t, []string{"none"}, c.IgnoreSeverities)
}

// FuzzOverrides reads any K_CE_OVERRIDES: what is accepted can be set on events.
func FuzzOverrides(f *testing.F) {
	f.Add(`{"extensions":{"a":"b"}}`)
	f.Add(`{"extensions":{"id":"x","":"y"}}`)
	f.Add(`{"extensions":[]}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Load(map[string]string{"AUDIT_SINK": "http://sink", "K_CE_OVERRIDES": text})
		if err != nil {
			require.ErrorContains(t, err, "K_CE_OVERRIDES")
			return
		}
		for name := range c.Overrides.Extensions {
			require.Regexp(t, "^[a-z0-9]+$", name)
			require.NotContains(t, taken, name)
		}
	})
}
