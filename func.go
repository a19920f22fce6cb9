// Package onefire makes the function for Knative's func: its scaffold looks for
// New in the root of the module and hosts what it returns.
package onefire

import "onefire/function"

// New makes a function that is configured when its host starts it.
func New() *function.Function { return function.New() }
