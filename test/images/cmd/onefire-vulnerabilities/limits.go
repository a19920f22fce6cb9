package main

import "time"

// scanTimeout bounds the check of one module. Kubernetes and Knative take the
// longest: a cold cache and two busy cores may make half an hour of them.
const scanTimeout = time.Hour
