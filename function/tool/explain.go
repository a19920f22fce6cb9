package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cloudevents/sdk-go/v2/event"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/owner"
	"onefire/mapping"
)

// explanation is what would become of one alert.
type explanation struct {
	Alertname     string           `json:"alertname"`
	Status        string           `json:"status"`
	Severity      mapping.Severity `json:"severity"`
	SeverityLabel string           `json:"severityLabel,omitempty"`
	Target        mapping.Target   `json:"target"`
	// Owner says how the target was found, with TARGET=owner.
	Owner       owner.Result     `json:"owner,omitempty"`
	Fingerprint string           `json:"fingerprint"`
	Decision    mapping.Decision `json:"decision"`
	Reason      string           `json:"reason"`
	// Object is "namespace/name"; empty where there would be none.
	Object string `json:"object,omitempty"`
	Count  int32  `json:"count,omitempty"`
	// FoldsWith are the other names and severities that would be counted on the
	// same object.
	FoldsWith []named `json:"foldsWith,omitempty"`
	Error     string  `json:"error,omitempty"`
}

// named is what people call an alert by.
type named struct {
	Alertname string           `json:"alertname"`
	Severity  mapping.Severity `json:"severity"`
}

func (n named) String() string { return fmt.Sprintf("%s (%s)", dash(n.Alertname), n.Severity) }

// forecaster says what one more alert would come to.
type forecaster func(ctx context.Context, s mapping.Signal, resolved bool) (dedup.Outcome, error)

// aimer finds the target of an alert.
type aimer func(ctx context.Context, s mapping.Signal) (owner.Found, error)

func explain(ctx context.Context, args []string, environment map[string]string, s Streams) error {
	f, o := flags("explain", s)
	kubeconfig := f.String("kubeconfig", "", "look at the objects of the cluster that this `file` names; without it, as if there were none")
	if f.Parse(args) != nil || f.NArg() != 1 {
		fmt.Fprint(s.Err, usage)
		return errUsage
	}
	c, err := config.Mapping(environment)
	if err != nil {
		return err
	}
	rules, aim := c.Rules(), aimer(nil)
	data, err := input(f.Arg(0), s.In)
	if err != nil {
		return err
	}
	notifications, err := parse(data, time.Now())
	if err != nil {
		return err
	}
	look := func(_ context.Context, s mapping.Signal, resolved bool) (dedup.Outcome, error) {
		return dedup.FirstForecast(s, resolved), nil
	}
	if *kubeconfig != "" {
		if look, aim, err = cluster(*kubeconfig, c); err != nil {
			return err
		}
	} else if c.Target == config.TargetOwner {
		fmt.Fprintln(s.Err, "onefire: the targets are those of the labels; TARGET=owner asks the API server for their controllers: name it with -kubeconfig")
	}
	all, truncated := []explanation{}, uint64(0)
	for _, n := range notifications {
		truncated += n.Truncated
		for _, a := range n.Alerts {
			one, err := explained(ctx, rules, a, aim, look)
			if err != nil {
				return err
			}
			all = append(all, one)
		}
	}
	folds := fold(all)
	if truncated > 0 {
		fmt.Fprintf(s.Err, "onefire: Alertmanager left out %d alerts: raise the receiver's max_alerts or group by more labels\n", truncated)
	}
	return o.print(s.Out, all, func(w io.Writer) {
		table(w, all)
		for _, f := range folds {
			fmt.Fprintln(w, printable(f))
		}
	})
}

func input(name string, in io.Reader) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading the alerts: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading the alerts: %w", err)
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("more than %d bytes: the function would not take it", maxInput)
	}
	return data, nil
}

// parse reads a CloudEvent in JSON, a batch of them, or what may be in one.
func parse(data []byte, now time.Time) ([]mapping.Notification, error) {
	var one event.Event
	var batch []event.Event
	switch {
	case json.Unmarshal(data, &one) == nil && one.SpecVersion() != "" && one.Validate() == nil:
		batch = []event.Event{one}
	case json.Unmarshal(data, &batch) == nil && len(batch) > 0 && batch[0].Validate() == nil:
	default:
		n, err := mapping.Parse(data, now)
		return []mapping.Notification{n}, err
	}
	var all []mapping.Notification
	for _, e := range batch {
		at := e.Time()
		if at.IsZero() || at.After(now) {
			at = now
		}
		n, err := mapping.Parse(e.Data(), at)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID(), err)
		}
		all = append(all, n)
	}
	return all, nil
}

// cluster looks at the objects that are there, and with TARGET=owner at what
// controls targets.
func cluster(kubeconfig string, c config.Config) (forecaster, aimer, error) {
	client, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	d, err := dedup.New(client, c.AuditSchema.SignalType())
	if err != nil {
		return nil, nil, err
	}
	var aim aimer
	if c.Target == config.TargetOwner {
		r, err := owner.New(client, c.ClusterName)
		if err != nil {
			return nil, nil, err
		}
		aim = func(ctx context.Context, s mapping.Signal) (owner.Found, error) {
			ctx, cancel := context.WithTimeout(ctx, lookTimeout)
			defer cancel()
			return r.Find(ctx, s)
		}
	}
	return func(ctx context.Context, s mapping.Signal, resolved bool) (dedup.Outcome, error) {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		return d.Forecast(ctx, s, resolved)
	}, aim, nil
}

func explained(ctx context.Context, rules mapping.Rules, a mapping.Alert, aim aimer, look forecaster) (explanation, error) {
	signal, problem := rules.Signal(a, time.Now())
	reason, ignored := rules.Ignored(a)
	var how owner.Result
	if problem == nil && !ignored && aim != nil {
		found, err := aim(ctx, signal)
		if err != nil {
			return explanation{}, err
		}
		if how = found.Result; found.Target != signal.Target {
			signal = rules.Aim(signal, a, found.Target)
		}
	}
	e := explanation{
		Alertname: signal.Name, Status: "firing", Severity: signal.Severity, SeverityLabel: a.Labels["severity"],
		Target: signal.Target, Fingerprint: signal.Fingerprint, Owner: how,
	}
	if a.Resolved {
		e.Status = "resolved"
	}
	switch {
	case problem != nil:
		reason, e.Error = mapping.Malformed, problem.Error()
	case !ignored:
		o, err := look(ctx, signal, a.Resolved)
		if err != nil {
			return e, err
		}
		reason, e.Count = o.Reason, o.Count
		if o.Name != "" {
			e.Object = signal.Namespace + "/" + o.Name
		}
	}
	e.Decision, e.Reason = reason.Decision(), reason.String()
	return e, nil
}

// fold notes which alerts of different names or severities would be counted on
// one object, and says so of each such object.
func fold(all []explanation) (lines []string) {
	alerts := map[string][]named{}
	var objects []string
	counted := func(e explanation) bool { return e.Decision == mapping.New || e.Decision == mapping.Duplicate }
	for _, e := range all {
		n := named{e.Alertname, e.Severity}
		if !counted(e) || slices.Contains(alerts[e.Object], n) {
			continue
		}
		if alerts[e.Object] = append(alerts[e.Object], n); len(alerts[e.Object]) == 2 {
			objects = append(objects, e.Object)
		}
	}
	for i, e := range all {
		if own := (named{e.Alertname, e.Severity}); counted(e) {
			all[i].FoldsWith = slices.DeleteFunc(slices.Clone(alerts[e.Object]), func(n named) bool { return n == own })
		}
	}
	for _, object := range objects {
		names := make([]string, len(alerts[object]))
		for i, n := range alerts[object] {
			names[i] = n.String()
		}
		lines = append(lines, fmt.Sprintf("%s fold into the same object: %s", strings.Join(names, ", "), object))
	}
	return lines
}

func table(w io.Writer, all []explanation) {
	fmt.Fprintln(w, "ALERT\tSEVERITY\tTARGET\tFINGERPRINT\tDECISION\tOBJECT\tCOUNT")
	for _, e := range all {
		severity := string(e.Severity)
		if label := strings.TrimSpace(e.SeverityLabel); label != "" && label != severity {
			severity += " (" + label + ")"
		}
		target := e.Target.Kind + "/" + e.Target.Name
		if e.Target.Namespace != "" {
			target += " in " + e.Target.Namespace
		}
		if e.Owner != "" {
			target += " (" + string(e.Owner) + ")"
		}
		count := "-"
		if e.Count > 0 {
			count = strconv.Itoa(int(e.Count))
		}
		decision := fmt.Sprintf("%s (%s)", e.Decision, e.Reason)
		if e.Error != "" {
			decision = fmt.Sprintf("%s: %s", e.Decision, e.Error)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(dash(e.Alertname)), printable(severity), printable(target),
			e.Fingerprint[:12], printable(decision), dash(e.Object), count)
	}
}

// printable keeps what an alert says from steering a terminal or the table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
