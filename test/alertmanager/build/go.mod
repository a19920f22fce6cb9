// Pins Alertmanager for the tests beside it, which build it from a copy: the
// module has no user interface in it, and does not compile without one.
module onefire/test/alertmanager/build

go 1.26.0

require github.com/prometheus/alertmanager v0.35.0
