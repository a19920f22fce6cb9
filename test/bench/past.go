package bench

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// pasts are how many ended objects an alert has that is measured alone. Ten are what
// HISTORY_LIMIT leaves.
var pasts = []int{0, 10, 100, 1000}

// alone are the names of its measurements.
var alone = func() []string {
	names := make([]string, len(pasts))
	for i, n := range pasts {
		names[i] = fmt.Sprintf("new alone, %d ended", n)
	}
	return names
}()

// alone sends new alerts one at a time: for each past one alert over and over, whose
// object is deleted in between, so that the past stays as long as it is.
func (t trial) alone(ctx context.Context) ([]Measurement, error) {
	var all []Measurement
	for _, n := range pasts {
		run := t.newRun()
		if err := t.givePast(ctx, run, n); err != nil {
			return all, err
		}
		made := func(ctx context.Context) error { return t.api.removeAll(ctx, t.in, run) }
		m, err := t.measure(ctx, t.functions, 1, inTurn(recurrences, made), func(ctx context.Context, _ int) error {
			return t.post(ctx, t.functions, newAlert(run, 0))
		})
		if err != nil {
			return all, err
		}
		if err := t.api.counted(ctx, t.in, past(run), 0, n, n); err != nil {
			return all, err
		}
		all = append(all, m)
		if err := t.api.removeAll(ctx, t.in, past(run)); err != nil {
			return all, err
		}
	}
	return all, nil
}

// past is the run that the ended objects of a run's alert belong to.
func past(run string) string { return run + "-past" }

// givePast makes n ended objects of a run's first alert.
func (t trial) givePast(ctx context.Context, run string, n int) error {
	if n == 0 {
		return nil
	}
	if err := t.post(ctx, t.functions, newAlert(run, 0)); err != nil {
		return err
	}
	first, err := t.takeAway(ctx, t.in, run)
	if err != nil {
		return err
	}
	objects := t.api.objects.Namespace(t.in)
	return each(ctx, workers, n, func(ctx context.Context, i int) error {
		o := first.object.DeepCopy()
		o.SetName(fmt.Sprintf("rr-%s-%s-%d", first.fingerprint[:12], run, i))
		if err := unstructured.SetNestedField(o.Object, past(run), "spec", "clusterID"); err != nil {
			return fmt.Errorf("making an object: %w", err)
		}
		if _, err := objects.Create(ctx, o, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating an object: %w", err)
		}
		if _, err := objects.Patch(ctx, o.GetName(), types.MergePatchType, completed, metav1.PatchOptions{}, "status"); err != nil {
			return fmt.Errorf("completing %s: %w", o.GetName(), err)
		}
		return nil
	})
}
