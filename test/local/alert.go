package local

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"onefire/dedup"
	"onefire/test/client"
)

// Alert posts a file with a webhook to the source of a running stack, as Alertmanager
// would, and writes what came of it: the answer, the objects and the audit events.
func Alert(ctx context.Context, s Settings, file string, out io.Writer) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the webhook: %w", err)
	}
	before, err := client.AuditTrail(ctx, s.AuditURL(), nil)
	if err != nil {
		return fmt.Errorf("%w (is `make run` running?)", err)
	}
	began := time.Now()
	status, answer, err := client.Webhook(body).Post(ctx, http.DefaultClient, s.SourceURL())
	if err != nil {
		return fmt.Errorf("%w (is `make run` running?)", err)
	}
	if status < http.StatusOK || status >= http.StatusMultipleChoices {
		return fmt.Errorf("the source did not accept %s: POST to %s: %d: %s", file, s.SourceURL(), status, strings.TrimSpace(answer))
	}
	fmt.Fprintf(out, "POST %s to %s: %d in %d ms\n%s", file, s.SourceURL(), status, time.Since(began).Milliseconds(), answer)
	after, err := client.AuditTrail(ctx, s.AuditURL(), nil)
	if err != nil {
		return err
	}
	return report(ctx, s, after[len(before):], out)
}

// report writes audit events and the objects that they are about.
func report(ctx context.Context, s Settings, events []client.AuditEvent, out io.Writer) error {
	if len(events) == 0 {
		fmt.Fprintln(out, "\nThe function wrote no audit event about it: it made no RemediationRequest, and counted on none.")
		return nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	kube, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	objects := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	seen := map[string]bool{}
	for _, e := range events {
		namespace, name, ok := strings.Cut(e.Data.RemediationRequest, "/")
		if !ok || seen[e.Data.RemediationRequest] {
			continue
		}
		if len(seen) == 0 {
			fmt.Fprintln(objects, "\nREMEDIATIONREQUEST\tPHASE\tALERT\tSEVERITY\tTARGET\tCOUNT")
		}
		seen[e.Data.RemediationRequest] = true
		o, err := kube.Resource(dedup.Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading %s: %w", e.Data.RemediationRequest, err)
		}
		text := func(path ...string) string {
			v, found, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
			if !found {
				return "-"
			}
			return fmt.Sprint(v)
		}
		fmt.Fprintf(objects, "%s\t%s\t%s\t%s\t%s/%s\t%s\n", e.Data.RemediationRequest, text("status", "overallPhase"), text("spec", "signalName"),
			text("spec", "severity"), text("spec", "targetResource", "kind"), text("spec", "targetResource", "name"), text("status", "deduplication", "occurrenceCount"))
	}
	if len(seen) == 0 {
		fmt.Fprintln(out, "\nThe audit events name no RemediationRequest.")
	} else if err := objects.Flush(); err != nil {
		return fmt.Errorf("writing the objects: %w", err)
	}
	trail := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(trail, "\nAUDIT EVENT\tOUTCOME\tSTATUS\tCOUNT\tCORRELATION ID")
	for _, e := range events {
		fmt.Fprintf(trail, "%s\t%s\t%s\t%d\t%s\n", e.EventType, e.Outcome, e.Data.DeduplicationStatus, e.Data.OccurrenceCount, e.CorrelationID)
	}
	if err := trail.Flush(); err != nil {
		return fmt.Errorf("writing the audit events: %w", err)
	}
	return nil
}
