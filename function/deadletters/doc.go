// Package deadletters keeps the events that the function did not take, and
// gives them to it again.
//
// Each dead letter is one ConfigMap: etcd holds it, so there is nothing to
// install and nothing to lose with a pod. An event is answered 2xx only when
// its ConfigMap exists. Its name follows from the event, so the same event
// delivered again finds it there and changes nothing. How many there are is
// bounded; when there is no room the answer says so, and what is kept stays. A
// dead letter goes only when the function has taken it, by an operator's hand, or
// when it has become old (`onefire prune`), which the log says.
package deadletters
