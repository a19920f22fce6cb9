package source

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onefire/config"
)

const length = 30 * time.Second

func TestWindowsFollowOneAnotherWithoutState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begun := noon.Add(-time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "begun")))
		now := noon.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "now")))
		opened := window(now, begun, length)
		require.False(t, opened.After(now))
		require.Less(t, now.Sub(opened), length)
		require.Zero(t, opened.Sub(begun)%length, "it is a whole number of windows after the group began")

		later := now.Add(time.Duration(rapid.Int64Range(0, int64(3*length)).Draw(t, "later")))
		switch apart := later.Sub(now); {
		case apart < length-now.Sub(opened):
			require.Equal(t, opened, window(later, begun, length), "what is left of the window is the same event")
		case apart >= length:
			require.NotEqual(t, opened, window(later, begun, length), "a window later is another event")
		}
	})
}

func TestAWindowHasAStartWhateverTheAlertsSay(t *testing.T) {
	for _, begun := range []time.Time{{}, time.Unix(1<<60, 0), noon.Add(time.Hour), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		opened := window(noon, begun, length)
		require.False(t, opened.After(noon))
		require.Less(t, noon.Sub(opened), length)
	}
}

// TestWithAlertmanagersDefaultsRetriesHaveMostOfAWindow sends at the times at
// which Alertmanager does: group_wait 30 s, group_interval 5 min, the second
// peer 15 s later.
func TestWithAlertmanagersDefaultsRetriesHaveMostOfAWindow(t *testing.T) {
	begun := noon.Add(-3141592653 * time.Nanosecond) // Any time.
	seen := map[time.Time]bool{}
	for flush := range 50 {
		sent := begun.Add(1200*time.Millisecond + 30*time.Second + time.Duration(flush)*5*time.Minute)
		opened := window(sent, begun, length)
		require.False(t, seen[opened], "each notification has an id of its own")
		seen[opened] = true
		for _, later := range []time.Duration{500 * time.Millisecond, 15 * time.Second, 28 * time.Second} {
			require.Equal(t, opened, window(sent.Add(later), begun, length))
		}
	}
}

func TestTheIDFollowsFromWhatIsSaid(t *testing.T) {
	first := hook(firing(0, "alertname=A", "pod=a"))
	idOf := func(body string, change ...func(*config.Source)) string {
		b := newBroker(t)
		f := start(t, b, change...)
		f.requireStatus(http.StatusOK, body)
		ids := b.ids()
		require.Len(t, ids, 1)
		return ids[0]
	}
	id := idOf(first)
	same := map[string]string{
		"a second replica":            first,
		"the second peer of a pair":   hookFrom("http://alertmanager-1", firing(0, "alertname=A", "pod=a")),
		"a fingerprint that is wrong": hook(firing(0, "alertname=A", "pod=a")[:1] + `"fingerprint":"x",` + firing(0, "alertname=A", "pod=a")[1:]),
		"other annotations":           hook(firing(0, "alertname=A", "pod=a")[:1] + `"valueString":"1",` + firing(0, "alertname=A", "pod=a")[1:]),
	}
	for name, body := range same {
		require.Equal(t, id, idOf(body), name)
	}
	other := map[string]string{
		"another pod":           hook(firing(0, "alertname=A", "pod=b")),
		"resolved":              hook(alertOf("resolved", 0, "alertname=A", "pod=a")),
		"it began earlier":      hook(firing(-time.Second, "alertname=A", "pod=a")),
		"another group":         `{"groupKey":"other"` + `,"receiver":"onefire\\.eu","alerts":[` + firing(0, "alertname=A", "pod=a") + `]}`,
		"another receiver":      `{"groupKey":"{}:{alertname=\"A\"}","receiver":"us","alerts":[` + firing(0, "alertname=A", "pod=a") + `]}`,
		"a group key of number": `{"groupKey":7,"receiver":"onefire\\.eu","alerts":[` + firing(0, "alertname=A", "pod=a") + `]}`,
	}
	seen := map[string]string{id: "the first"}
	for name, body := range other {
		got := idOf(body)
		require.NotContains(t, seen, got, "%s has the id of %s", name, seen[got])
		seen[got] = name
	}
	require.NotContains(t, seen, idOf(first, func(c *config.Source) { c.EventSource = "urn:other" }))
	require.NotContains(t, seen, idOf(first, func(c *config.Source) { c.Split = config.SplitNotification }))
}

func TestANotificationsIDFollowsFromAllOfIt(t *testing.T) {
	x, y, began := firing(0, "alertname=A", "pod=a"), firing(0, "alertname=A", "pod=b"), firing(-time.Second, "alertname=A", "pod=b")
	whole := hook(x, y)
	seen := map[string]string{}
	for name, body := range map[string]string{
		"the first":                  whole,
		"without the first alert":    hook(y),
		"without the last alert":     hook(x),
		"another alert":              hook(x, firing(0, "alertname=A", "pod=c")),
		"an alert ended":             hook(x, alertOf("resolved", 0, "alertname=A", "pod=b")),
		"an alert began earlier":     hook(x, began),
		"more alerts were left out":  strings.Replace(whole, `"truncatedAlerts":0`, `"truncatedAlerts":1`, 1),
		"the group has another name": strings.Replace(whole, `"groupKey":"`, `"groupKey":"x`, 1),
		"the group has ended":        strings.Replace(whole, `"status":"firing"`, `"status":"resolved"`, 1),
		"another receiver":           strings.Replace(whole, "onefire", "another", 1),
	} {
		b := newBroker(t)
		start(t, b, func(c *config.Source) { c.Split = config.SplitNotification }).requireStatus(http.StatusOK, body)
		id := b.ids()[0]
		require.NotContains(t, seen, id, "%s has the id of %s", name, seen[id])
		seen[id] = name
	}
}

// Replicas of two versions run side by side while one replaces the other.
func TestTheNextVersionMakesTheSameIDs(t *testing.T) {
	for split, id := range map[config.Split]string{
		config.SplitAlert:        "06bf1a3a-13a6-5b31-aca1-ce9144973bad",
		config.SplitNotification: "295dfe18-e5ea-50e1-972a-05f515873ff9",
	} {
		b := newBroker(t)
		start(t, b, func(c *config.Source) { c.Split = split }).requireStatus(http.StatusOK, simple)
		require.Equal(t, []string{id}, b.ids(), "%s", split)
	}
}

func TestANotificationsIDDoesNotDependOnTheOrderOfAlerts(t *testing.T) {
	b := newBroker(t)
	whole := func(c *config.Source) { c.Split = config.SplitNotification }
	one, two := start(t, b, whole), start(t, b, whole)
	x, y := firing(0, "alertname=A", "pod=a"), firing(0, "alertname=A", "pod=b")
	one.requireStatus(http.StatusOK, hook(x, y))
	two.requireStatus(http.StatusOK, hookFrom("http://alertmanager-1", y, x))
	ids := b.ids()
	require.Len(t, ids, 2)
	require.Equal(t, ids[0], ids[1])
}
