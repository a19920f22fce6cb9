package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecipientsKeepToTheContract(t *testing.T) {
	for _, rule := range recipientRules {
		for name, start := range recipients {
			t.Run(name+" "+rule.text, func(t *testing.T) {
				t.Parallel()
				rule.recipient(t, start)
			})
		}
	}
}

func TestSendersKeepToTheContract(t *testing.T) {
	for _, rule := range senderRules {
		for name, send := range senders {
			t.Run(name+" "+rule.text, func(t *testing.T) {
				t.Parallel()
				rule.sender(t, send)
			})
		}
	}
}

// TestAConflictIsAsTheTableSays holds the one answer that senders do not agree
// on.
func TestAConflictIsAsTheTableSays(t *testing.T) {
	want := map[string]outcome{"source": later, "audit sink": refused, "replay": later}
	for name, send := range senders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want[name], send(t, startSink(t, statuses(409)...).URL))
		})
	}
}

const document = "README.md"

func TestTheDocumentSaysWhatIsChecked(t *testing.T) {
	want := render(len(publicEvents(t)), len(notEvents()))
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(want), 0o644))
	}
	got, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "write it with: cd test && go test ./conformance -update")
}

// render writes the document.
func render(events, wrong int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Conformance

Onefire is held against two public contracts: [CloudEvents over HTTP](https://github.com/cloudevents/spec) 1.0 and the
[data plane of Knative Eventing](https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md). Each row is a
test of this folder, which also writes this page; `+"`make test`"+` runs them all, over HTTP, against each program that is
named.

## Events
- The CloudEvents project's own %d conformance events (github.com/cloudevents/conformance v0.4.1), of versions 0.3 and
  1.0, in binary and in structured mode: the dead-letter store keeps each as it is, attribute by attribute and in its
  data; the function reads each, and settles it when its data is a webhook.
- %d requests that are not an event, or not a valid one, in both modes: both programs reject each with 400 or 415 and a
  reason, without effect.

`, events, wrong)
	table(&b, "Who takes events", slices.Sorted(maps.Keys(recipients)), recipientRules)
	table(&b, "Who sends events", slices.Sorted(maps.Keys(senders)), senderRules)
	b.WriteString(`The source speaks to a Broker, the audit sink to DataStorage or any Knative sink, the replay to the function. The source
takes Alertmanager's webhook, which is not a CloudEvent: see [reference](../../docs/reference.md#the-sources-events).

## Answers
| answer | function | dead-letter store | a Broker or Channel |
|---|---|---|---|
| 200, no body | settled | kept | done |
| 400 | no valid CloudEvent, or no alerts in it | no valid CloudEvent | no retry; dead letter |
| 405 | not POST | not POST | no retry; dead letter |
| 413 | larger than 2 MiB | larger than 4 MiB, or than 1 MiB compressed | no retry; dead letter |
| 415 | not a CloudEvent | not a CloudEvent, or a batch | no retry; dead letter |
| 503, Retry-After | not all of it could be settled, or too much at once | the API server did not take it, or too much at once | retries; then dead letter |
| 507, Retry-After | | no room | retries |
| 500 | a defect | a defect | retries; then dead letter |

An event that the dead-letter store rejects, or that finds no room there until the retries end, is lost to the Broker;
the store's log names it: see [operations](../../docs/operations.md#dead-letters).
`)
	return b.String()
}

func table(b *strings.Builder, title string, names []string, rules []rule) {
	fmt.Fprintf(b, "## %s\nChecked for each: %s.\n\n| | the contract | what is done |\n|---|---|---|\n", title, strings.Join(names, ", "))
	for _, rule := range rules {
		how := rule.how
		for _, name := range slices.Sorted(maps.Keys(rule.but)) {
			how += fmt.Sprintf("; but the %s: %s", name, rule.but[name])
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", rule.level, rule.text, how)
	}
	b.WriteString("\n")
}
