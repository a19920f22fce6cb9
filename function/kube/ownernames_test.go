package kube

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestNamesSayWhatMadeAnObject(t *testing.T) {
	for name, want := range map[string]string{
		"Pod api-5d9c7b8f4-x7k2p":       "ReplicaSet/api-5d9c7b8f4 DaemonSet/api-5d9c7b8f4 Job/api-5d9c7b8f4",
		"Pod web-0":                     "StatefulSet/web",
		"Pod web-10":                    "StatefulSet/web",
		"Pod web-01":                    "",
		"Pod a-0":                       "StatefulSet/a",
		"Pod web-1234567890":            "StatefulSet/web",
		"Pod web-12345678901":           "",
		"Pod train-12345-b2c4d":         "ReplicaSet/train-12345 DaemonSet/train-12345 Job/train-12345 Job/train",
		"Pod train-123456-b2c4d":        "ReplicaSet/train-123456 DaemonSet/train-123456 Job/train-123456",
		"Pod web-22456":                 "StatefulSet/web ReplicaSet/web DaemonSet/web Job/web",
		"Pod train-3-b2c4d":             "ReplicaSet/train-3 DaemonSet/train-3 Job/train-3 Job/train",
		"Pod train-03-b2c4d":            "ReplicaSet/train-03 DaemonSet/train-03 Job/train-03",
		"Pod -b2c4d":                    "",
		"Pod api-green":                 "", // No vowels are made.
		"Pod api-b2c4":                  "",
		"Pod api-b2c4d7":                "",
		"Pod mysql":                     "",
		"ReplicaSet api-5d9c7b8f4":      "Deployment/api",
		"ReplicaSet api-v2":             "", // v is in no hash.
		"ReplicaSet api-5d9c7b8f4d":     "Deployment/api",
		"ReplicaSet api-5d9c7b":         "",
		"ReplicaSet api-5d9c7b8":        "Deployment/api",
		"ReplicaSet api-5d9c7b8f4d5":    "",
		"Job sum-29384720":              "CronJob/sum",
		"Job sum-2938472":               "",
		"Job sum-2938472a":              "",
		"Job sum-293847201":             "",
		"StatefulSet api-0":             "",
		"Deployment api-00001-5d9c7b8f": "",
	} {
		kind, name, _ := strings.Cut(name, " ")
		var got []string
		for _, p := range parents(mapping.Target{APIVersion: "x", Kind: kind, Name: name, Namespace: "shop"}) {
			require.NotEmpty(t, path(p), "it can be asked for")
			require.Equal(t, "shop", p.Namespace)
			got = append(got, p.Kind+"/"+p.Name)
		}
		require.Equal(t, want, strings.Join(got, " "), "%s %s", kind, name)
	}
}

// A name leads to one object only if none of the others exists. So each must be known.
func TestANameIsNotFollowedWhileAnotherMeaningOfItCannotBeTold(t *testing.T) {
	api := &fakeAPI{owners: map[string]string{"jobs/log": "null"}}
	api.answer("daemonsets/log", status(http.StatusServiceUnavailable, "ServiceUnavailable"))
	r := api.resolver(t)
	_, err := r.Find(t.Context(), pod("log-b2c4d"))
	require.ErrorContains(t, err, "reading DaemonSet shop/log: ")
	api.answer("daemonsets/log", nil)
	found, err := r.Find(t.Context(), pod("log-b2c4d"))
	require.NoError(t, err)
	require.Equal(t, Found{mapping.Target{APIVersion: "batch/v1", Kind: "Job", Name: "log", Namespace: "shop"}, ByName}, found)
}
