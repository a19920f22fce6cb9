// Package sender tells who sends a request, by the bearer token that it shows.
//
// Knative's Trigger dispatcher, where OIDC is on, sends a token of the Trigger's
// service account, made out to the subscriber's audience. Whether a token is good
// is for the API server to say (TokenReview): it knows the keys, and which
// accounts and pods are gone, so nothing here checks a signature. What a token
// says of itself only ever refuses it, never lets it in.
//
// A good answer stands for [reviewAge] and not beyond the token's own end; a bad
// one, or that of who may not send, is asked again each time. One token is asked
// for once at a time, and [maxReviews] unknown tokens at once; who waits longer
// than [reviewTimeout] is told to come again. Nothing runs between requests.
// Tokens are kept as their SHA-256, and no message has one in it.
package sender
