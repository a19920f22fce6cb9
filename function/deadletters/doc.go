// Package deadletters keeps the events that the function did not accept, and replays them
// to the function.
//
// Each dead letter is one ConfigMap. etcd stores it, so there is nothing to install, and
// a lost pod loses nothing. An event is answered 2xx only when its ConfigMap exists. The
// ConfigMap's name follows from the event, so a redelivery of the event finds it and
// changes nothing. The number of dead letters is bounded. At the bound new ones are
// rejected, and those that are kept stay. A dead letter is deleted only when the function
// has accepted it, by an operator, or when it is old (`onefire prune`), which the log
// says.
package deadletters
