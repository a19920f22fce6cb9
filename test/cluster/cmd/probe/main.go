// Command probe says of each address that it is given whether a TCP connection to
// it is answered.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

// timeout is how long a connection may take: a packet that is dropped is
// never answered.
const timeout = 3 * time.Second

func main() {
	for _, address := range os.Args[1:] {
		answer := "open"
		connection, err := (&net.Dialer{Timeout: timeout}).DialContext(context.Background(), "tcp", address)
		if err != nil {
			answer = "closed"
		} else {
			_ = connection.Close()
		}
		fmt.Println(address, answer)
	}
}
