package restarter

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The phases that the restarter writes. Pending and Restarting are active: alerts
// count on the request. The others are terminal. Onefire takes any phase that it does
// not know for an active one, so a controller can have names of its own, which also
// say whose request it is.
const (
	pending    = "Pending"
	restarting = "Restarting"
	completed  = "Completed"
	failed     = "Failed"
	skipped    = "Skipped"
)

// manualReview is the outcome of a request that asks for a person. Onefire makes no
// other request until somebody takes it away, or deletes the request.
const manualReview = "ManualReviewRequired"

// restartedAt is the annotation of a pod template that kubectl rollout restart sets.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// severities are the five that Onefire writes, the worst first. With SEVERITY=raw
// there are others, and they come last.
var severities = []string{"critical", "high", "medium", "low", "unknown"}

// request is what the restarter reads of a RemediationRequest.
type request struct {
	namespace, name, revision string
	created                   time.Time
	deleting                  bool
	fields
}

type fields struct {
	Spec struct {
		Severity string `json:"severity"`
		// ClusterID is the alert's cluster, where that is not this one.
		ClusterID      string `json:"clusterID"`
		TargetType     string `json:"targetType"`
		TargetResource struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Name       string `json:"name"`
			Namespace  string `json:"namespace"`
		} `json:"targetResource"`
	} `json:"spec"`
	Status struct {
		OverallPhase string `json:"overallPhase"`
		// Message and RestartedAt are the restarter's own.
		Message       string       `json:"message"`
		RestartedAt   *metav1.Time `json:"restartedAt"`
		Deduplication struct {
			LastResolvedAt *metav1.Time `json:"lastResolvedAt"`
			// Alerts are those that were counted beside the spec's own.
			Alerts []struct {
				Severity string `json:"severity"`
			} `json:"alerts"`
		} `json:"deduplication"`
		Conditions []struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
		} `json:"conditions"`
	} `json:"status"`
}

// mine tells whether the request is the restarter's to work on: it is on a Deployment
// of this cluster, and no other controller has begun with it.
func (q *request) mine() bool {
	t := q.Spec.TargetResource
	return !q.deleting && q.Spec.TargetType == "kubernetes" && q.Spec.ClusterID == "" &&
		t.Kind == "Deployment" && (t.APIVersion == "" || t.APIVersion == "apps/v1") && t.Namespace != "" &&
		slices.Contains([]string{"", pending, restarting}, q.Status.OverallPhase)
}

// rank orders requests by severity, the worst first: their own, or that of an alert
// that was counted on them since.
func (q *request) rank() int {
	worst := index(q.Spec.Severity)
	for _, a := range q.Status.Deduplication.Alerts {
		worst = min(worst, index(a.Severity))
	}
	return worst
}

func index(severity string) int {
	if i := slices.Index(severities, severity); i >= 0 {
		return i
	}
	return len(severities)
}

// resolved tells whether all alerts of the request have ended. A CRD that is not
// Onefire's may drop lastResolvedAt; the condition says it there.
func (q *request) resolved() bool {
	if q.Status.Deduplication.LastResolvedAt != nil {
		return true
	}
	for _, c := range q.Status.Conditions {
		if c.Type == "onefire/Record" && c.Reason == "Resolved" {
			return true
		}
	}
	return false
}

// needsDeployment tells whether the next step depends on the Deployment.
func (q *request) needsDeployment(room bool) bool {
	return !q.resolved() && (room || q.Status.OverallPhase == restarting)
}

// step is what to do about a request.
type step struct {
	// phase and message are to be written where they are not there already.
	phase, message string
	// outcome is empty, or manualReview.
	outcome string
	// claimed is when the Deployment is restarted: it is written with the phase
	// Restarting.
	claimed time.Time
	// quiet is until when an ended request wants no other one to follow.
	quiet time.Time
	// restart tells that the Deployment is to be restarted after the write.
	restart bool
}

// next decides. d is the request's Deployment, nil where there is none. room tells
// whether another rollout may begin.
func (q *request) next(d *appsv1.Deployment, room bool, o Options) step {
	now := o.Now().UTC().Truncate(time.Second)
	if q.Status.OverallPhase == restarting && q.Status.RestartedAt != nil {
		return q.follow(d, now, o)
	}
	switch {
	case q.resolved():
		return step{phase: completed, message: "all of its alerts ended before a restart"}
	case !room:
		return step{phase: pending, message: fmt.Sprintf("waits until fewer than %d rollouts are under way", o.AtOnce)}
	case d == nil:
		return step{phase: skipped, message: "there is no such Deployment", quiet: now.Add(o.BackOff)}
	case d.Spec.Paused:
		return step{phase: skipped, message: "the Deployment is paused", quiet: now.Add(o.BackOff)}
	case lastRestart(d).Add(o.BackOff).After(now):
		return step{phase: pending, message: "the Deployment was restarted, and is left alone until " + lastRestart(d).Add(o.BackOff).Format(time.RFC3339)}
	}
	return step{phase: restarting, message: "restarts the Deployment", claimed: now, restart: true}
}

// follow decides on a request whose Deployment was restarted, or was going to be when
// the restarter was killed.
func (q *request) follow(d *appsv1.Deployment, now time.Time, o Options) step {
	claimed := q.Status.RestartedAt.UTC()
	quiet := claimed.Add(o.BackOff)
	if q.resolved() {
		return step{phase: completed, message: "all of its alerts have ended", quiet: quiet}
	}
	if d == nil {
		return step{phase: skipped, message: "the Deployment was deleted", quiet: quiet}
	}
	// Another restart within the back-off is as good: another restarter made it.
	restarted := lastRestart(d).Add(o.BackOff).After(claimed)
	switch {
	case restarted && rolledOut(d):
		return step{phase: completed, message: "the rollout is done", quiet: quiet}
	case !now.Before(claimed.Add(o.Limit)):
		return step{phase: failed, message: fmt.Sprintf("the rollout was not done after %s", o.Limit), outcome: manualReview}
	}
	return step{phase: restarting, message: q.Status.Message, restart: !restarted}
}

// status is what a step writes, as a merge patch of the request's status.
func (s step) status(now time.Time) map[string]any {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	status := map[string]any{"overallPhase": s.phase, "message": s.message}
	if !s.claimed.IsZero() {
		status["restartedAt"] = stamp(s.claimed)
	}
	if s.phase != pending && s.phase != restarting {
		status["completedAt"] = stamp(now)
	}
	if s.outcome != "" {
		status["outcome"] = s.outcome
	}
	if !s.quiet.IsZero() {
		status["nextAllowedExecution"] = stamp(s.quiet)
	}
	return status
}

// lastRestart is when somebody last restarted a Deployment; zero where nobody did.
func lastRestart(d *appsv1.Deployment) time.Time {
	at, err := time.Parse(time.RFC3339, d.Spec.Template.Annotations[restartedAt])
	if err != nil {
		return time.Time{} // A text that is no time says nothing; a restart overwrites it.
	}
	return at.UTC()
}

// rolledOut tells what kubectl rollout status waits for: the Deployment's controller
// has seen the restart, all pods are new and available, and no old one is left.
func rolledOut(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas >= want && s.Replicas <= s.UpdatedReplicas && s.AvailableReplicas >= s.UpdatedReplicas
}
