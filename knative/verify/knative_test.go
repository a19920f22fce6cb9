package verify

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	eventingfeature "knative.dev/eventing/pkg/apis/feature"
	"knative.dev/networking/pkg/apis/networking"
	netcfg "knative.dev/networking/pkg/config"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/logging"
	"knative.dev/serving/pkg/apis/autoscaling"
	apiconfig "knative.dev/serving/pkg/apis/config"
	"knative.dev/serving/pkg/apis/serving"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	autoscalerconfig "knative.dev/serving/pkg/autoscaler/config"
	"knative.dev/serving/pkg/deployment"
	"knative.dev/serving/pkg/observability"
	revisionconfig "knative.dev/serving/pkg/reconciler/revision/config"
	"knative.dev/serving/pkg/reconciler/revision/resources"

	corev1 "k8s.io/api/core/v1"
)

// webhook is the context in which Knative's webhooks see a new object, on an
// installation that nobody has configured.
func webhook() context.Context {
	ctx := apis.WithinCreate(context.Background())
	flags, _ := eventingfeature.NewFlagsConfigFromMap(map[string]string{})
	return eventingfeature.ToContext(ctx, flags)
}

// knativeProblems runs what Knative's webhooks run: defaults, then validation.
func knativeProblems(all objects, v variant) []string {
	var found []string
	for name, object := range all {
		defaulted, ok := object.(apis.Defaultable)
		if !ok {
			continue
		}
		if v.has(unserved) {
			found = append(found, fmt.Sprintf("%s is Knative's", name))
			continue
		}
		defaulted.SetDefaults(webhook())
		if err := object.(apis.Validatable).Validate(webhook()); err != nil {
			found = append(found, fmt.Sprintf("%s: %v", name, err))
		}
	}
	if v.has(unserved) {
		return found
	}
	service, ok := named[*servingv1.Service](all, "onefire")
	if !ok {
		return append(found, "there is no Knative Service onefire")
	}
	annotations := service.Spec.Template.Annotations
	if annotations[autoscaling.MinScaleAnnotationKey] != "0" {
		found = append(found, "the function costs something at rest")
	}
	for name := range annotations {
		if !slices.Contains(scaling, name) {
			found = append(found, fmt.Sprintf("Knative reads no annotation %s", name))
		}
	}
	if service.Labels[networking.VisibilityLabelKey] != serving.VisibilityClusterLocal {
		found = append(found, "the function can be reached from outside of the cluster")
	}
	broker, ok := named[*eventingv1.Broker](all, "onefire")
	if !ok {
		return append(found, "there is no Broker onefire")
	}
	class := map[bool]string{false: "MTChannelBasedBroker", true: "Kafka"}[v.has(kafka)]
	if broker.Annotations[eventingv1.BrokerClassAnnotationKey] != class {
		found = append(found, fmt.Sprintf("the Broker is not of class %s", class))
	}
	return found
}

// scaling are the annotations that the autoscaler knows.
var scaling = slices.Concat(autoscaling.MinScaleAnnotation, autoscaling.MaxScaleAnnotation, autoscaling.MetricAnnotation,
	autoscaling.TargetAnnotation, autoscaling.TargetUtilizationPercentageAnnotation, autoscaling.TargetBurstCapacityAnnotation)

// functionPod is the pod that Knative makes of the function's Service, with its
// queue-proxy.
func functionPod(all objects) (pod, error) {
	service, ok := named[*servingv1.Service](all, "onefire")
	if !ok {
		return pod{}, fmt.Errorf("there is no Knative Service onefire")
	}
	service = service.DeepCopy()
	service.SetDefaults(webhook())
	revision := &servingv1.Revision{
		ObjectMeta: metav1.ObjectMeta{
			Name: "onefire-00001", Namespace: service.Namespace,
			Labels:      map[string]string{serving.ServiceLabelKey: service.Name, serving.ConfigurationLabelKey: service.Name},
			Annotations: service.Spec.Template.Annotations,
		},
		Spec: service.Spec.Template.Spec,
	}
	for name, value := range service.Spec.Template.Labels {
		revision.Labels[name] = value
	}
	config, err := installation()
	if err != nil {
		return pod{}, err
	}
	made, err := resources.MakeDeployment(revision, config)
	if err != nil {
		return pod{}, fmt.Errorf("making the function's Deployment: %w", err)
	}
	template := made.Spec.Template
	template.Namespace = service.Namespace
	return pod{name: "onefire", PodTemplateSpec: template, user: service.Spec.Template.Spec.Containers[0]}, nil
}

// installation is Knative's configuration where nobody has changed it.
func installation() (*revisionconfig.Config, error) {
	deploy, err := deployment.NewConfigFromMap(map[string]string{deployment.QueueSidecarImageKey: "queue-proxy"})
	if err != nil {
		return nil, fmt.Errorf("config-deployment: %w", err)
	}
	logs, err := logging.NewConfigFromMap(nil)
	if err != nil {
		return nil, fmt.Errorf("config-logging: %w", err)
	}
	network, err := netcfg.NewConfigFromMap(nil)
	if err != nil {
		return nil, fmt.Errorf("config-network: %w", err)
	}
	defaults, err := apiconfig.NewDefaultsConfigFromMap(nil)
	if err != nil {
		return nil, fmt.Errorf("config-defaults: %w", err)
	}
	features, err := apiconfig.NewFeaturesConfigFromMap(nil)
	if err != nil {
		return nil, fmt.Errorf("config-features: %w", err)
	}
	scaler, err := autoscalerconfig.NewConfigFromMap(nil)
	if err != nil {
		return nil, fmt.Errorf("config-autoscaler: %w", err)
	}
	return &revisionconfig.Config{
		Config:     &apiconfig.Config{Defaults: defaults, Features: features, Autoscaler: scaler},
		Deployment: deploy, Logging: logs, Network: network, Observability: observability.DefaultConfig(),
	}, nil
}

// A pod is what a workload's pods are made from.
type pod struct {
	corev1.PodTemplateSpec
	name string
	// user is our own container, as the manifest has it.
	user corev1.Container
}
