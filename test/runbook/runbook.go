// Package runbook has the commands of docs/brake.md: tests run them, with kubectl on a
// whole cluster, and on one machine as kubectl would.
package runbook

import (
	"os"
	"regexp"
	"strings"
)

// The commands of docs/brake.md that change something, as they stand there. Each is for
// the namespace onefire.
const (
	Stop      = "kubectl -n onefire create configmap onefire-brake --from-literal=reason='failover of the database until 14:00, ask Jane'"
	Start     = "kubectl -n onefire delete configmap onefire-brake"
	Cap       = "kubectl -n onefire create quota onefire --hard=count/remediationrequests.kubernaut.ai=1000"
	CapHigher = `kubectl -n onefire patch quota onefire --type merge -p '{"spec":{"hard":{"count/remediationrequests.kubernaut.ai":"2000"}}}'`
	Uncap     = "kubectl -n onefire delete quota onefire"
)

// Reason is why [Stop] stops.
const Reason = "failover of the database until 14:00, ask Jane"

// The commands that look.
const (
	ShowBrake  = "kubectl -n onefire get configmap onefire-brake -o yaml"
	ShowEvents = "kubectl -n onefire get events.events.k8s.io --field-selector reason=RemediationPaused"
	ShowList   = "onefire list"
	ShowCap    = "kubectl -n onefire get quota onefire"
)

// Commands reads those of a page: the lines of its consoles after a dollar sign.
func Commands(page string) ([]string, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, line := range regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, line[1])
	}
	return all, nil
}

var word = regexp.MustCompile(`(?:[^\s']|'[^']*')+`)

// Words are those of a command, as a shell makes them.
func Words(command string) []string {
	words := word.FindAllString(command, -1)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "'", "")
	}
	return words
}
