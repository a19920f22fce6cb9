package tracing

// maxText is the longest text of an attribute, a span's name or a status, in
// bytes: collectors cut or refuse spans that are much larger, and events of
// strangers bring texts of 2 KiB and more.
const maxText = 512
