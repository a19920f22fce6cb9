package cmd

import "time"

const (
	// maxInput bounds a file, in bytes: a webhook may have 2 MiB.
	maxInput = 16 << 20
	// listPage is how many requests a page of a List has at most. If such a page is too
	// large, onefire list asks for half as many.
	listPage = 500
	// maxRequests is how many requests onefire list reads, at about 1 KB each.
	maxRequests = 100_000
	// maxListRestarts is how often a listing begins anew because the API server no longer
	// has the state of its first page.
	maxListRestarts = 3
	// listTimeout bounds one listing: maxRequests from a slow API server.
	listTimeout = 2 * time.Minute
	// watchEvery is the pause between two listings of a watch. If a listing takes long,
	// the pause is watchShare times that, so that a watch is a small part of the API
	// server's load.
	watchEvery = 2 * time.Second
	watchShare = 10
	// tableWidth is the largest width of a table, in characters, and columnGap the width
	// between two columns. shownFingerprint is how much of a fingerprint is shown, as
	// long as the label onefire/fingerprint.
	tableWidth       = 120
	columnGap        = 2
	shownFingerprint = 12

	// lookTimeout bounds each call to the cluster.
	lookTimeout = 10 * time.Second
	// maxLookups is how many targets a backtest looks up in the cluster, those that fired
	// last first. Each takes one Get, so a history of 30 days does not become a load.
	maxLookups = 500
	// maxOwnersAsked is for how many label sets a backtest looks up owners, those that
	// fired last first. An owner takes three Gets, and up to 24 if pods are gone.
	maxOwnersAsked = 2_000
	// maxCalls bounds the concurrent Gets of a backtest.
	maxCalls = 8

	// maxPoints bounds the samples of one series in one answer. Prometheus rejects a
	// query for more than 11,000.
	maxPoints = 10_000
	// maxSpan bounds the time span of one query, so that progress is visible and an
	// answer is small. An alert that fires all day takes 26 KB at one sample a minute.
	maxSpan = 24 * time.Hour
	// maxAnswer bounds one answer of Prometheus, in bytes: 2,500 alerts that fire all
	// day. The backtest halves the time span of a query with a larger answer.
	maxAnswer = 64 << 20
	// maxErrorAnswer is how much of the answer is read that describes an error, in bytes.
	maxErrorAnswer = 8 << 10
	// maxQueries is how many queries a backtest makes. 30 days take 30, unless answers
	// are too large.
	maxQueries = 10_000
	// queryTimeout bounds one query. Prometheus itself ends a query after two minutes.
	queryTimeout = 2 * time.Minute
	// maxTimeouts is after how many queries in a row that take too long the backtest
	// gives up. Each has half the time span of the one before.
	maxTimeouts = 4
	// maxQueryTries is how often a query is tried while the server is unavailable.
	maxQueryTries = 4
	// firstQueryPause is the first pause between two attempts. They are jittered, and the
	// next ones are longer.
	firstQueryPause = 500 * time.Millisecond
	// growAfter is after how many answers in a row within the bounds the backtest doubles
	// the time span of a query.
	growAfter = 4

	// maxLabelSets is how many label sets a backtest keeps, at 1 KB each.
	maxLabelSets = 100_000
	// maxFires is how many fires a backtest keeps, at 16 bytes each.
	maxFires = 1_000_000
	// minGap is the shortest pause between two samples that ends a fire. Prometheus
	// itself shows a series for 5 minutes after its last sample, and Alertmanager does
	// not notify about an alert that fires again within its group_interval of 5 minutes.
	minGap = 5 * time.Minute

	// maxTargets is how many targets of a rule are listed in JSON, and shownTargets how
	// many in text; those with the most fires come first. The others are only counted.
	maxTargets, shownTargets = 50, 3
	// maxExamples is how many targets, label sets or labels a finding names.
	maxExamples = 3
	// progressEvery is the least time between two updates of the progress on a terminal,
	// which has one line. progressEveryLine is the same without a terminal, where a
	// backtest prints one line each time.
	progressEvery, progressEveryLine = 250 * time.Millisecond, 10 * time.Second
)

// Prune.
const (
	// prunePage is how many objects a page of a List has at most. If such a page is too
	// large, the reader asks for half as many objects.
	prunePage = 500
	// callsPerSecond is the rate of all calls, Lists and deletes. It is a small part of
	// the API server's capacity, and allows 30,000 deletes within pruneTimeout, more than
	// any storm leaves behind in an hour.
	callsPerSecond = 10
	// maxPruneTries is how often a call is made while the API server is unavailable.
	// firstPrunePause is the first wait, which then doubles. maxPrunePause is the longest
	// wait that the API server may ask for (Retry-After).
	maxPruneTries   = 5
	firstPrunePause = time.Second
	maxPrunePause   = time.Minute
	// pruneCallTimeout bounds one call. The packages that make the calls have shorter
	// bounds of their own.
	pruneCallTimeout = 15 * time.Second
	// maxPruneFailures is after how many failed deletes in a row the rest is left to the
	// next run.
	maxPruneFailures = 5
	// maxPruneRestarts is how often the reading may begin anew, without progress in
	// between, because the API server no longer has the state of the next page.
	maxPruneRestarts = 5
	// pruneTimeout bounds a whole run, so that an hourly one ends before the next. The
	// CronJob's activeDeadlineSeconds is a minute longer.
	pruneTimeout = 50 * time.Minute
)
