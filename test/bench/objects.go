package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"onefire/dedup"
)

// row is an object as `kubectl get` shows it: a hundredth of its bytes.
type row struct {
	name, phase, target string
	count               int64
}

// rows lists the objects of a namespace that one run has made. A run's alerts
// have its name as their cluster.
func (a *api) rows(ctx context.Context, namespace, run string) ([]row, error) {
	var all []row
	query := url.Values{
		"fieldSelector": {"spec.clusterID=" + run}, "includeObject": {string(metav1.IncludeNone)}, "limit": {strconv.Itoa(pageSize)},
	}
	for {
		path := fmt.Sprintf("/apis/%s/namespaces/%s/%s?%s", dedup.Resource.GroupVersion(), namespace, dedup.Resource.Resource, query.Encode())
		body, err := a.get(ctx, path, "application/json;as=Table;v=v1;g=meta.k8s.io")
		if err != nil {
			return nil, fmt.Errorf("listing the objects of %s: %w", run, err)
		}
		var table metav1.Table
		err = json.NewDecoder(body).Decode(&table)
		body.Close()
		if err != nil {
			return nil, fmt.Errorf("reading the objects of %s: %w", run, err)
		}
		page, err := readRows(table)
		if err != nil {
			return nil, fmt.Errorf("reading the objects of %s: %w", run, err)
		}
		all = append(all, page...)
		if table.Continue == "" {
			return all, nil
		}
		query.Set("continue", table.Continue)
	}
}

func readRows(table metav1.Table) ([]row, error) {
	column := func(name string) int {
		return slices.IndexFunc(table.ColumnDefinitions, func(c metav1.TableColumnDefinition) bool { return c.Name == name })
	}
	name, phase, target, count := column("Name"), column("Phase"), column("Target"), column("Count")
	if min(name, phase, target, count) < 0 && len(table.Rows) > 0 {
		return nil, fmt.Errorf("a column of Name, Phase, Target and Count is missing")
	}
	out := make([]row, len(table.Rows))
	for i, r := range table.Rows {
		text := func(column int) string {
			s, _ := r.Cells[column].(string)
			return s
		}
		n, ok := r.Cells[count].(float64)
		if !ok {
			return nil, fmt.Errorf("%s has no count: %v", text(name), r.Cells[count])
		}
		out[i] = row{text(name), text(phase), text(target), int64(n)}
	}
	return out, nil
}

// remove deletes what a run has made, so that the namespace keeps its size.
func (a *api) remove(ctx context.Context, namespace, run string) error {
	made, err := a.rows(ctx, namespace, run)
	if err != nil {
		return err
	}
	objects := a.objects.Namespace(namespace)
	return each(ctx, workers, len(made), func(ctx context.Context, i int) error {
		err := objects.Delete(ctx, made[i].name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting %s: %w", made[i].name, err)
		}
		return nil
	})
}

// removeAll deletes what a run has made, however little, with one call.
func (a *api) removeAll(ctx context.Context, namespace, run string) error {
	err := a.objects.Namespace(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "spec.clusterID=" + run})
	if err != nil {
		return fmt.Errorf("deleting the objects of %s: %w", run, err)
	}
	return nil
}

// counted checks that a run has one active object for each fingerprint, that
// terminal ones are as many as expected, and that all of them together count
// each alert once.
func (a *api) counted(ctx context.Context, namespace, run string, fingerprints, terminal, alerts int) error {
	made, err := a.rows(ctx, namespace, run)
	if err != nil {
		return err
	}
	return check(made, fingerprints, terminal, alerts)
}

func check(made []row, fingerprints, terminal, alerts int) error {
	active := map[string]bool{}
	var total int64
	var done int
	for _, r := range made {
		total += r.count
		if r.phase != "" {
			done++
			continue
		}
		if active[r.target] {
			return fmt.Errorf("wrong result: two active objects for %s", r.target)
		}
		active[r.target] = true
	}
	if len(active) != fingerprints || done != terminal || total != int64(alerts) {
		return fmt.Errorf("wrong result: %d active objects, %d terminal, %d occurrences; sent were %d alerts on %d fingerprints, %d of them terminal before",
			len(active), done, total, alerts, fingerprints, terminal)
	}
	return nil
}
