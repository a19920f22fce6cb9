package runbook

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheCommandsAreThoseOfThePage(t *testing.T) {
	commands, err := Commands("../../docs/brake.md")
	require.NoError(t, err)
	require.Equal(t, []string{Stop, ShowBrake, ShowEvents, ShowList, Cap, ShowCap, CapHigher, Uncap, Start}, commands, "a command that no test runs")
}

func TestACommandIsReadAsAShellDoes(t *testing.T) {
	require.Equal(t, []string{"kubectl", "-n", "onefire", "create", "configmap", "onefire-brake", "--from-literal=reason=" + Reason}, Words(Stop))
	require.JSONEq(t, `{"spec":{"hard":{"count/remediationrequests.kubernaut.ai":"2000"}}}`, Words(CapHigher)[9])
}
