package prune

import "time"

const (
	// pageSize is how many objects a page of a List has at most. Where such a page
	// has too many bytes, the reader asks for half as many objects.
	pageSize = 500
	// callsPerSecond is the rate of all calls, Lists and deletes. It is a small part
	// of what an API server takes, and 30,000 deletes within runTimeout: more than
	// any storm leaves behind in an hour.
	callsPerSecond = 10
	// maxTries is how often a call is made while the API server cannot answer.
	// firstPause is the first wait between, which then doubles, and maxPause the
	// longest for which the API server may ask (Retry-After).
	maxTries   = 5
	firstPause = time.Second
	maxPause   = time.Minute
	// callTimeout bounds one call. The rooms that make the calls have bounds of
	// their own, which are shorter.
	callTimeout = 15 * time.Second
	// maxFailures is how many deletes in a row may fail until the rest is left to the
	// next run.
	maxFailures = 5
	// maxRestarts is how often the reading may begin again because the API server no
	// longer knows the page that comes next, without any progress between.
	maxRestarts = 5
	// runTimeout bounds a whole run, so that an hourly one ends before the next. The
	// CronJob's activeDeadlineSeconds is a minute longer.
	runTimeout = 50 * time.Minute
	// progressEvery is how often the command says on a terminal how far it is.
	progressEvery = 250 * time.Millisecond
)
