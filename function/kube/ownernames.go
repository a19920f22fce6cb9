package kube

import (
	"strings"

	"onefire/mapping"
)

// The letters in names that Kubernetes makes: in the suffix of generateName, and those of
// decimal digits in the hash of a pod template.
const (
	digits   = "0123456789"
	suffixes = "bcdfghjklmnpqrstvwxz2456789"
	hashes   = "456789bcdf"
)

// The lengths of the endings that Kubernetes adds to names.
const (
	sizeSuffix = 5
	// sizeMinutes is the length of a CronJob's scheduled time in minutes since 1970, for
	// times from 1989 to 2160.
	sizeMinutes = 8
	// maxOrdinal and maxHash are the lengths of the largest 32-bit numbers. One hash in
	// four thousand is shorter than minHash, and most words that people put there are
	// shorter too.
	maxOrdinal = 10
	maxHash    = 10
	minHash    = 7
	// maxIndex is the length of a Job's index: 100,000 of its pods can run at once.
	maxIndex = 5
)

// parents returns the objects that may have made an object with this name, by the
// conventions of Kubernetes' own controllers. At most one of them is right.
func parents(t mapping.Target) []mapping.Target {
	base, end := cutLast(t.Name)
	var all []mapping.Target
	add := func(name string, kinds ...string) {
		for _, k := range kinds {
			all = append(all, mapping.Target{APIVersion: apiVersion(k), Kind: k, Name: name, Namespace: t.Namespace})
		}
	}
	switch t.Kind {
	case "Pod":
		if ordinal(end) {
			add(base, "StatefulSet")
		}
		if hasOnly(end, suffixes, sizeSuffix, sizeSuffix) {
			add(base, "ReplicaSet", "DaemonSet", "Job")
			// The pods of an indexed Job have their index before the suffix.
			if job, index := cutLast(base); ordinal(index) && len(index) <= maxIndex {
				add(job, "Job")
			}
		}
	case "ReplicaSet":
		if hasOnly(end, hashes, minHash, maxHash) {
			add(base, "Deployment")
		}
	case "Job":
		if hasOnly(end, digits, sizeMinutes, sizeMinutes) {
			add(base, "CronJob")
		}
	}
	return all
}

// cutLast cuts a name at its last hyphen. Both parts are empty if nothing is before one.
func cutLast(name string) (base, end string) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return "", ""
	}
	return name[:i], name[i+1:]
}

// hasOnly tells whether a text consists of these letters and has such a length.
func hasOnly(s, letters string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, letters) == ""
}

// ordinal tells whether a text is a number in the form of a StatefulSet or Job.
func ordinal(s string) bool {
	return hasOnly(s, digits, 1, maxOrdinal) && (s == "0" || s[0] != '0')
}
