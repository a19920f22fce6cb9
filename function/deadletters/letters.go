package deadletters

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Letter is a dead letter without its event.
type Letter struct {
	Namespace, Name string
	// Since is when it was kept.
	Since time.Time
	// ID, Source and Type are those of the event. Alertname and Severity are empty if the
	// event does not contain them.
	ID, Source, Type, Alertname, Severity string
	// Why is the Broker's description of the delivery that failed.
	Why string

	object configMap
}

// Letters reads the dead letters of one namespace in pages.
type Letters struct{ api *api }

// OpenLetters makes [Letters] from a client configuration, which it copies. It opens no
// connection.
func OpenLetters(config *rest.Config, namespace string) (*Letters, error) {
	a, err := connect(config, namespace)
	return &Letters{a}, err
}

// Page reads at most size dead letters, in the order of their names. It leaves out those
// that are being deleted and those without this store's labels, but counts them in read.
// next is the token for the next page; it is empty after the last one.
func (l *Letters) Page(ctx context.Context, size int, next string) (letters []Letter, read int, more string, err error) {
	page, err := l.api.page(ctx, size, next)
	if err != nil {
		return nil, 0, "", err
	}
	for i := range page.Items {
		m := &page.Items[i].ObjectMeta
		if m.DeletionTimestamp != nil || labelled(m) != nil {
			continue
		}
		letters = append(letters, Letter{
			Namespace: l.api.namespace, Name: m.Name, Since: m.CreationTimestamp.Time,
			ID: m.Annotations[idAnnotation], Source: m.Annotations[sourceAnnotation], Type: m.Labels[eventTypeLabel],
			Alertname: m.Labels[alertnameLabel], Severity: m.Labels[severityLabel], Why: sanitize(m.Annotations[errorAnnotation]),
			object: configMap{ObjectMeta: metav1.ObjectMeta{Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}},
		})
	}
	return letters, len(page.Items), page.Continue, nil
}

// Delete deletes a dead letter in the revision that was read, or fails with a conflict. A
// running replay has already read its event. A letter that was replayed and kept again
// under the same name is another one, and stays.
func (l *Letters) Delete(ctx context.Context, letter Letter) error {
	if err := l.api.delete(ctx, &letter.object); err != nil {
		return fmt.Errorf("deleting the dead letter %s: %w", letter.Name, err)
	}
	return nil
}
