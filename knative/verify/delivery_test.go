package verify

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/kncloudevents"
	"knative.dev/serving/pkg/apis/autoscaling"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"onefire/config"
	"onefire/function/receive"
	"onefire/function/source"
)

// quiet is how long queue-proxy waits, after the last request, before it lets a
// pod end.
const quiet = 30 * time.Second

// limit reads a limit of the function, in its own unit: they are nobody else's
// to know.
func limit(name string) (int64, error) {
	text, err := os.ReadFile("../../function/limits.go")
	if err != nil {
		return 0, fmt.Errorf("reading the function's limits: %w", err)
	}
	found := regexp.MustCompile(`(?m)^\t` + name + `\s+= (\d+)( \* time\.Second)?$`).FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("function/limits.go has no %s any more: change this test too", name)
	}
	return strconv.ParseInt(string(found[1]), 10, 64)
}

// deliveryProblems are events that do not come to the function, come twice for
// no reason, or are given up while somebody still works on them.
func deliveryProblems(all objects, v variant) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if v.has(unserved) {
		return plainProblems(all)
	}
	trigger, ok := named[*eventingv1.Trigger](all, "onefire")
	if !ok {
		return []string{"there is no Trigger onefire"}
	}
	var types []string
	for _, filter := range trigger.Spec.Filters {
		for _, one := range filter.Any {
			types = append(types, one.Exact["type"])
		}
	}
	slices.Sort(types)
	if sent := []string{source.AlertType, source.NotificationType}; !slices.Equal(types, sent) {
		wrong("the Trigger lets %q through, the source sends %q", types, sent)
	}

	d := trigger.Spec.Delivery
	if d == nil || d.Retry == nil || *d.Retry == 0 || d.BackoffPolicy == nil || d.BackoffDelay == nil || d.Timeout == nil {
		return append(found, "the Trigger does not say how to try again: retry, backoffPolicy, backoffDelay, timeout")
	}
	how, err := kncloudevents.RetryConfigFromDeliverySpec(eventingduckv1.DeliverySpec{
		Retry: d.Retry, BackoffPolicy: d.BackoffPolicy, BackoffDelay: d.BackoffDelay, Timeout: d.Timeout,
	})
	if err != nil {
		return append(found, err.Error())
	}
	var pauses time.Duration
	for try := range how.RetryMax {
		pauses += how.Backoff(try, nil)
	}
	running, err := pods(all)
	if err != nil {
		return append(found, err.Error())
	}
	sender, err := config.LoadSource(environment(all, running["onefire-source"]))
	if err != nil {
		return append(found, err.Error())
	}
	// Half of it is for the tries themselves.
	if pauses < time.Minute || pauses > sender.DeliveryTimeout/2 {
		wrong("retries take %s, and the source waits for %s", pauses, sender.DeliveryTimeout)
	}
	for name, least := range map[string]time.Duration{"onefire-source": sender.DeliveryTimeout, "onefire-deadletters": quiet} {
		grace := running[name].Spec.TerminationGracePeriodSeconds
		if grace == nil || time.Duration(*grace)*time.Second <= least {
			wrong("%s is killed before it has finished", name)
		}
	}
	return append(found, timeProblems(all, how.RequestTimeout)...)
}

// timeProblems: each waits longer than the one behind it.
func timeProblems(all objects, timeout time.Duration) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	limits := map[string]int64{}
	for _, name := range []string{"eventTimeout", "maxRequests"} {
		n, err := limit(name)
		if err != nil {
			return []string{err.Error()}
		}
		limits[name] = n
	}
	service, ok := named[*servingv1.Service](all, "onefire")
	if !ok {
		return []string{"there is no Knative Service onefire"}
	}
	spec := service.Spec.Template.Spec
	if spec.TimeoutSeconds == nil || spec.ContainerConcurrency == nil {
		return []string{"the function's timeoutSeconds and containerConcurrency are left to chance"}
	}
	request := time.Duration(limits["eventTimeout"])*time.Second + receive.AnswerTimeout
	own := time.Duration(*spec.TimeoutSeconds) * time.Second
	if own <= quiet+request {
		wrong("a pod that ends has %s: queue-proxy waits for %s, and a request may take %s", own, quiet, request)
	}
	if timeout <= own {
		wrong("the Broker gives up after %s, and the Service after %s", timeout, own)
	}
	if *spec.ContainerConcurrency <= 0 || *spec.ContainerConcurrency > limits["maxRequests"] {
		wrong("%d requests at once, and the function takes %d", *spec.ContainerConcurrency, limits["maxRequests"])
	}
	annotations := service.Spec.Template.Annotations
	target, err := strconv.ParseInt(annotations[autoscaling.TargetAnnotationKey], 10, 64)
	if err != nil || target > *spec.ContainerConcurrency {
		wrong("more pods would come after the first is full")
	}
	most, err := strconv.ParseInt(annotations[autoscaling.MaxScaleAnnotationKey], 10, 64)
	if err != nil || most < 1 {
		wrong("there is no end to pods")
	}
	return found
}
