package observability

import "flag"

var update = flag.Bool("update", false, "write what is made from other files")
