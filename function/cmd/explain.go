package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/dedup"
	"onefire/dedup/client"
	"onefire/function/cmd/help"
	"onefire/function/kube"
	"onefire/function/receive"
	"onefire/mapping"
)

// forecaster tells the outcome that one more alert would have.
type forecaster func(ctx context.Context, s mapping.Signal, resolved bool) (dedup.Outcome, error)

// targetResolver sets the target of a signal as the function would. The reason is not
// zero if that target is not in the scope.
type targetResolver func(ctx context.Context, a mapping.Alert, s mapping.Signal) (aimed mapping.Signal, how kube.OwnerResult, reason mapping.Reason, err error)

func explain(ctx context.Context, args []string, environment map[string]string, s Streams) error {
	f, o := flags("explain")
	kubeconfig := f.String("kubeconfig", "", "look at the objects of the cluster that this `file` names; without it, as if there were none")
	history := backtestFlags(f)
	if err := parseFlags(f, args, s); err != nil {
		return err
	}
	if problem := history.problem(f); problem != "" {
		return help.Error(problem)
	}
	c, err := config.Mapping(environment)
	if err != nil {
		return err
	}
	var server *rest.Config
	if *kubeconfig != "" {
		var own string
		if server, own, err = connect(*kubeconfig); err != nil {
			return err
		}
		if !config.NamespaceSet(environment) {
			c.Namespace = own
		}
	} else {
		warnOfOwners(c, s.Err)
	}
	if history.url != "" {
		return history.run(ctx, c, server, o, s)
	}
	data, err := input(f.Arg(0), s.In)
	if err != nil {
		return err
	}
	deliveries, err := parse(data, time.Now())
	if err != nil {
		return err
	}
	in := newSequence(c.Rules())
	if server != nil {
		if in.look, in.resolve, err = cluster(server, c); err != nil {
			return err
		}
	}
	all, truncated := []explanation{}, uint64(0)
	for _, d := range deliveries {
		truncated += d.Truncated
		explained, err := in.explain(ctx, d)
		if err != nil {
			return err
		}
		all = append(all, explained...)
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

// warnOfOwners warns that owners and scopes are unknown without a cluster.
func warnOfOwners(c config.Config, w io.Writer) {
	if c.Scope.Selector != nil {
		fmt.Fprintln(w, "onefire: without -kubeconfig every alert counts as in the scope: SCOPE needs labels from the API server")
	}
	if c.Target == config.TargetOwner {
		fmt.Fprintln(w, "onefire: without -kubeconfig the targets are those of the labels: TARGET=owner needs the API server")
	}
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
		return nil, fmt.Errorf("more than %d bytes: the function would reject it", maxInput)
	}
	return data, nil
}

// delivery is a notification and the event that contained it. sent is the event's
// [mapping.Sent]. The fields of the event are empty if there is none.
type delivery struct {
	source, id string
	sent       time.Time
	mapping.Notification
}

// parse reads a CloudEvent in JSON, a batch of them, or the data of one.
func parse(data []byte, now time.Time) ([]delivery, error) {
	var one event.Event
	var batch []event.Event
	switch {
	case json.Unmarshal(data, &one) == nil && one.Validate() == nil:
		batch = []event.Event{one}
	case json.Unmarshal(data, &batch) == nil && len(batch) > 0 && batch[0].Validate() == nil:
	default:
		n, err := mapping.Parse(data, now)
		return []delivery{{Notification: n}}, err
	}
	var all []delivery
	for _, e := range batch {
		at, _ := mapping.EventTime(e.Time(), now)
		n, err := mapping.Parse(e.Data(), at)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID(), err)
		}
		all = append(all, delivery{e.Source(), e.ID(), mapping.Sent(now, e.Time(), receive.Arrived(e)), n})
	}
	return all, nil
}

// connect finds the API server by kubeconfig files, or else as kubectl does. own is the
// namespace of the kubeconfig's context, or of the pod; default without both. A command
// looks there unless a flag or a variable names a namespace. connect opens no connection.
func connect(kubeconfig string) (server *rest.Config, own string, err error) {
	for _, file := range filepath.SplitList(kubeconfig) {
		if _, err := os.Stat(file); err != nil {
			return nil, "", fmt.Errorf("reading %s: %w", file, err)
		}
	}
	server, namespace, err := client.LoadWithNamespace(kubeconfig)
	if err != nil {
		return nil, "", err
	}
	if own, err = namespace(); err != nil {
		return nil, "", fmt.Errorf("reading the namespace of the kubeconfig's context: %w", err)
	}
	return server, own, nil
}

// cluster makes a forecaster that lists the objects of a cluster, and a targetResolver
// that reads owners with TARGET=owner, and labels with SCOPE.
func cluster(server *rest.Config, c config.Config) (forecaster, targetResolver, error) {
	d, err := dedup.New(server, dedup.Options{})
	if err != nil {
		return nil, nil, err
	}
	resolve, err := owners(server, c)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, s mapping.Signal, resolved bool) (dedup.Outcome, error) {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		return d.Forecast(ctx, s, "", resolved)
	}, resolve, nil
}

// owners finds the owners of targets with TARGET=owner, and whether targets are in the
// scope with SCOPE. It is nil without both.
func owners(server *rest.Config, c config.Config) (targetResolver, error) {
	if c.Target != config.TargetOwner && c.Scope.Selector == nil {
		return nil, nil
	}
	r, err := kube.NewResolver(server, kube.ResolverOptions{Scope: c.Scope.Selector})
	if err != nil {
		return nil, err
	}
	rules := c.Rules()
	return func(ctx context.Context, a mapping.Alert, s mapping.Signal) (mapping.Signal, kube.OwnerResult, mapping.Reason, error) {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		var found kube.Found
		if c.Target == config.TargetOwner {
			var err error
			if found, err = r.Find(ctx, s); err != nil {
				return s, "", 0, err
			}
			s = rules.Aim(s, a, found.Target)
		}
		scoped, err := r.Scope(ctx, s)
		if err != nil || scoped.In {
			return s, found.Result, 0, err
		}
		return s, found.Result, mapping.Unmanaged, nil
	}, nil
}
