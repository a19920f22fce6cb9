package install

import "time"

const (
	// installWait bounds the whole installation. It takes about a minute on
	// two cores.
	installWait = 5 * time.Minute
	// retryPause is the time between two tries to apply something.
	retryPause = 500 * time.Millisecond
	// importsAtOnce is how many images are imported at the same time.
	importsAtOnce = 4
)
