package cmd

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// set is a label set on a target, with fires as "start-end" in minutes.
func set(name string, at mapping.Target, chosen, fires string, labels ...string) *mapped {
	p := &mapped{labelSet: &labelSet{labels: map[string]string{"alertname": name}}}
	for i := 0; i < len(labels); i += 2 {
		p.labels[labels[i]] = labels[i+1]
	}
	p.signal = mapping.Signal{Fingerprint: name + at.Kind + at.Namespace + at.Name, Target: at, Chosen: chosen}
	for f := range strings.FieldsSeq(fires) {
		start, end, _ := strings.Cut(f, "-")
		from, _ := strconv.Atoi(start)
		to, _ := strconv.Atoi(end)
		p.fires = append(p.fires, fire{int64(minutes(from)[0]), int64(minutes(to)[0])})
	}
	return p
}

func pod(name string) mapping.Target {
	return mapping.Target{APIVersion: "v1", Kind: "Pod", Name: name, Namespace: "shop"}
}

func TestFiresMakeObjectsAndAreCounted(t *testing.T) {
	type is struct{ objects, repeats int }
	for reason, row := range map[string]struct {
		sets []*mapped
		want []is
	}{
		"a short fire makes one object":         {[]*mapped{set("A", pod("p"), "", "0-239")}, []is{{1, 0}}},
		"a fire repeats after each interval":    {[]*mapped{set("A", pod("p"), "", "0-240")}, []is{{1, 1}}},
		"a long one does so often":              {[]*mapped{set("A", pod("p"), "", "0-1439")}, []is{{1, 5}}},
		"the next fire makes another object":    {[]*mapped{set("A", pod("p"), "", "0-10 20-30 40-300")}, []is{{3, 1}}},
		"two targets have objects of their own": {[]*mapped{set("A", pod("p"), "", "0-10"), set("A", pod("q"), "", "5-10")}, []is{{1, 0}, {1, 0}}},
		"label sets of one target share one, from the first": {
			[]*mapped{set("A", pod("p"), "", "5-30", "c", "x"), set("A", pod("p"), "", "0-10", "c", "y")}, []is{{0, 1}, {1, 0}},
		},
		"an object lasts until the last of its alerts has ended": {
			[]*mapped{set("A", pod("p"), "", "0-10 25-40", "c", "x"), set("A", pod("p"), "", "5-30 50-60", "c", "y")}, []is{{1, 1}, {1, 1}},
		},
		"an alert that begins when another ends is counted on its object": {
			[]*mapped{set("A", pod("p"), "", "0-10", "c", "x"), set("A", pod("p"), "", "10-20", "c", "y")}, []is{{1, 0}, {0, 1}},
		},
		"what is filtered makes nothing": {
			[]*mapped{{labelSet: &labelSet{labels: map[string]string{}, fires: []fire{{0, 1}}}, reason: mapping.IgnoredAlertname}}, []is{{0, 0}},
		},
	} {
		t.Run(reason, func(t *testing.T) {
			objects := simulate(row.sets, 4*time.Hour)
			made := 0
			for i, p := range row.sets {
				got := is{p.made, p.repeated}
				require.Equal(t, row.want[i], got)
				made += p.made
			}
			require.Len(t, objects, made)
		})
	}
}

// aMonth has a rule of each kind that a report speaks of.
func aMonth() []*mapped {
	watchdog := set("Watchdog", mapping.Target{Kind: mapping.KindUnknown, Name: "1"}, "", "0-40000")
	watchdog.reason = mapping.IgnoredAlertname
	other := set("PodSlow", pod("api-1"), "label pod", "0-10")
	other.signal.Fingerprint = "KubePodCrashLoopingPodshopapi-1"
	bad := set("HostDown", mapping.Target{Kind: mapping.KindUnknown, Name: "3"}, "", "0-10", "instance", "10.0.0.2:9100", "pod", "shop-.*")
	bad.bad = []string{"pod"}
	return []*mapped{
		watchdog, other, bad,
		set("KubePodCrashLooping", pod("api-1"), "label pod", "0-300 1000-1010", "container", "api", "pod", "api-1"),
		set("KubePodCrashLooping", pod("api-1"), "label pod", "1000-1010", "container", "proxy", "pod", "api-1"),
		set("KubePodCrashLooping", pod("api-2"), "label pod", "0-10 2000-2010 3000-3010", "pod", "api-2"),
		set("KubePodCrashLooping", pod("api-3"), "label pod", "0-10", "pod", "api-3"),
		set("KubePodCrashLooping", pod("api-4"), "label pod", "0-10", "pod", "api-4"),
		set("KubePodCrashLooping", pod("api-5"), "label pod", "0-10", "pod", "api-5"),
		set("HostDown", mapping.Target{Kind: mapping.KindUnknown, Name: "2"}, "", "0-10", "instance", "10.0.0.1:9100"),
		set("Long\x1b[2J", pod("\x1b[2J"), "label pod", "0-10", "pod", "\x1b[2J"),
	}
}

func TestAReportForPeople(t *testing.T) {
	r := evaluate(aMonth(), 4*time.Hour)
	r.Findings = append(r.Findings, aboutMissing(
		map[string][]gone{"KubePodCrashLooping": {{target(pod("api-2")), 3010 * 60_000}, {target(pod("api-1")), 60_000}}}, map[string]int{"KubePodCrashLooping": 4})...)
	sortFindings(r.Findings)
	r.From, r.To, r.FirstSample = time.Unix(0, 0), time.Unix(30*24*3600, 0), time.Unix(60, 0)
	r.Step, r.Gap, r.RepeatInterval = "1m", "5m", "4h"
	var b bytes.Buffer
	r.head(&b)
	require.NoError(t, output{}.print(&b, r, r.print))
	r.advise(&b)
	golden(t, "report.txt", b.Bytes())
	require.NotContains(t, b.String(), "\x1b", "what an alert says does not steer the terminal")

	b.Reset()
	require.NoError(t, output{format: "json"}.print(&b, r, nil))
	golden(t, "report.json", b.Bytes())
	requireCamel(t, b.String())
}

func TestAReportWithNothingToLookAtSaysSo(t *testing.T) {
	r := evaluate([]*mapped{set("A", pod("p"), "label pod", "0-10")}, time.Hour)
	require.Empty(t, r.Findings)
	var b bytes.Buffer
	r.advise(&b)
	require.Equal(t, "\nNothing to look at.\n", b.String())
	b.Reset()
	require.NoError(t, output{format: "json"}.print(&b, r, func(io.Writer) {}))
	require.Contains(t, b.String(), `"findings": []`, "a script gets a list")
}
