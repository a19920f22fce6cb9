package mapping

// TargetsVersion counts the changes of the built-in rules for targets that give
// some alert another fingerprint. After such a change an alert that fires may have
// a second request: docs/changelog.md says which alerts are meant.
const TargetsVersion = 2
