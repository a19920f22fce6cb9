// Command emptyserver is the least that the Functions Framework can serve: a
// function that does nothing. A cold start is held against this one's.
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
)

func main() { log.Fatal(serve()) }

func serve() error {
	host, port, err := net.SplitHostPort(os.Getenv("LISTEN_ADDRESS"))
	if err != nil {
		return err
	}
	nothing := func(http.ResponseWriter, *http.Request) {}
	if err := funcframework.RegisterHTTPFunctionContext(context.Background(), "/", nothing); err != nil {
		return err
	}
	return funcframework.StartHostPort(host, port)
}
