package bearer

// maxToken is the longest token in bytes; one of a service account has 1 to
// 2 KiB.
const maxToken = 8 << 10
